//! Docker Compose's side of a release: the resolved model, its containers, its checks.

pub mod check;
pub mod container;
pub mod model;
