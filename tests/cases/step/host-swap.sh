#!/bin/sh
# From a file: quotes ' " and $dollars arrive as they are.
exec mkswap /swapfile
