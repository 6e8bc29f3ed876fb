//! The range of fencing tokens. A host issues them, and a store remembers the highest one.

/// Tokens from here on are no count of leases: what says so is damaged or hostile.
pub const BOUND: u64 = 1_000_000_000_000_000;

/// A store can hold a token from here on only if a former version took it from a host without a limit. Such a token is
/// ignored, so that the count has room again.
pub const BELIEVED: u64 = BOUND / 2;
