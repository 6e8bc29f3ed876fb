//! Questions to the Docker engine of a host.

/// Shell function `ask_engine`, which asks the engine through its socket.
pub const ASK_ENGINE: &str = include_str!("engine.sh");

/// Line of a probe whose questions the engine did not answer: what the engine has is not known.
pub const UNANSWERED: &str = "unanswered";

/// Value of an observed fact that only the engine knows, if the engine did not answer.
pub const UNKNOWN: &str = "unknown: Docker does not answer";
