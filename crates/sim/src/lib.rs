//! The simulator and the chain laws.
