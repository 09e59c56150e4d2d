//! `cargo xtask …`: the repository's own tools. Each subcommand is one module.
//!
//! - [`tidy`] ceilings and habits that a compiler does not see
//! - [`arrows`] which crate may depend on which
//! - [`suite`] the test command of the README; [`tally`] counts what it ran
//! - [`mutants`] seeded bugs that the tests must find
//! - [`peers`] the real nodes that the whole-product tests talk to
//!
//! Invariant: nothing here is part of the product, and no crate depends on it.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool talks to a terminal")]

mod arrows;
mod clients;
mod links;
mod mutants;
mod peers;
mod steps;
mod suite;
mod tally;
mod tidy;
mod tree;
mod workspace;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  tidy                        file ceilings, module headers, unfinished code, dead links
  arrows                      dependencies between our crates against the arrow table
  test [--quick]              every check and every test; ends with `N passed, N failed`
                              (--quick leaves out documentation, mutants and whole-product tests)
  mutants [--list|--ci] [NAME…]
                              apply each seeded mutant to a copy; the tests must find it
  peers [--with-litecoind]    install the real nodes the whole-product tests talk to";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words.as_slice() {
        ["tidy"] => report("tidy", tidy::findings(&tree::root())),
        ["arrows"] => report("arrows", arrows::findings(&tree::root())),
        ["test"] => suite::run(suite::Breadth::Full),
        ["test", "--quick"] => suite::run(suite::Breadth::Quick),
        ["mutants", rest @ ..] => mutants::run(rest),
        ["peers", rest @ ..] => peers::run(rest),
        _ => Err(USAGE.to_owned()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("{message}");
            ExitCode::FAILURE
        }
    }
}

/// Prints findings one a line; none is success.
fn report(check: &str, findings: Result<Vec<String>, String>) -> Result<(), String> {
    let findings = findings?;
    if findings.is_empty() {
        println!("{check}: nothing to report");
        return Ok(());
    }
    for finding in &findings {
        println!("{finding}");
    }
    Err(format!("{check}: {} to mend", findings.len()))
}
