//! Ethereum's official blockchain tests (execution-spec-tests, `blockchain_tests`): every block of every case.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![allow(clippy::print_stderr, reason = "a skipped test must be seen")]

mod case;
mod direct;
mod node;
mod vectors;

#[test]
fn every_case_through_the_ledgers_functions() {
    vectors::run("eest-blockchain-tests", direct::run);
}

#[test]
fn every_case_through_a_node() {
    vectors::run("eest-blockchain-tests", node::run);
}
