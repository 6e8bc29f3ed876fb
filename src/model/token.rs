//! Range of fencing tokens. A host issues the tokens, and a store remembers the highest one.

/// Exclusive upper bound of valid tokens. A host that reports a token at or above it is damaged or hostile.
pub const BOUND: u64 = 1_000_000_000_000_000;

/// Exclusive upper bound of the tokens that are accepted from a store. A store can hold a higher token only if a former
/// version took it from a host without a limit. Such a token is ignored, so that the counter can grow again.
pub const BELIEVED: u64 = BOUND / 2;
