//! The binary `chainwright`.
fn main() {}
