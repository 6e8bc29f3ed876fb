//! Docker Compose's part of a release: the resolved model, its containers and its checks.

pub mod check;
pub mod container;
pub mod health_check;
pub mod json;
pub mod model;
mod ports;
