//! Runs the chain laws over many seeds: `laws [--cell NAME] [--seeds N] [--seed N]`.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

use std::process::ExitCode;

use chainwright_sim::{Cell, LEAST, Report, cells, run};

const USAGE: &str = "usage: laws [--cell NAME] [--seeds COUNT] [--seed NUMBER]";

/// A cell by name.
type Runner = (&'static str, fn(u64) -> Result<Report, String>);

const fn runner<C: Cell>() -> Runner {
    (C::NAME, run::<C>)
}

const CELLS: &[Runner] = &[
    runner::<cells::UtxoOnPow>(),
    runner::<cells::UtxoOnSolo>(),
    runner::<cells::NamesOnPow>(),
    runner::<cells::NamesOnSolo>(),
    runner::<cells::EvmOnPow>(),
    runner::<cells::EvmOnSolo>(),
];

struct Wanted {
    cell: Option<String>,
    seeds: Vec<u64>,
}

fn wanted(mut arguments: impl Iterator<Item = String>) -> Result<Wanted, String> {
    let mut wanted = Wanted { cell: None, seeds: (0..50).collect() };
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|error| format!("{flag} {value}: {error}"));
        match flag.as_str() {
            "--cell" if CELLS.iter().any(|(name, _)| *name == value) => wanted.cell = Some(value),
            "--cell" => {
                let names: Vec<_> = CELLS.iter().map(|(name, _)| *name).collect();
                return Err(format!("there is no cell {value}; there are {}", names.join(", ")));
            }
            "--seeds" => wanted.seeds = (0..number()?).collect(),
            "--seed" => wanted.seeds = vec![number()?],
            _ => return Err(format!("unknown flag {flag}")),
        }
    }
    Ok(wanted)
}

fn main() -> ExitCode {
    let wanted = match wanted(std::env::args().skip(1)) {
        Ok(wanted) => wanted,
        Err(error) => {
            eprintln!("error: {error}\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let mut failed = 0;
    for (name, run) in CELLS.iter().filter(|(name, _)| wanted.cell.as_ref().is_none_or(|cell| cell == name)) {
        for seed in &wanted.seeds {
            match run(*seed) {
                Ok(Report { counts, trace }) => println!(
                    "{name} seed {seed}: {} blocks, {} reorganisations (deepest {}), {} crashes, {} transactions, trace {trace:016x}",
                    counts.blocks,
                    counts.reorganisations,
                    counts.deepest,
                    counts.crashes,
                    counts.transactions
                ),
                Err(error) => {
                    failed += 1;
                    println!("{name} seed {seed}: FAILED: {error}");
                    println!(
                        "  again: cargo run -p chainwright-sim --bin laws -- --cell {name} --seed {seed}"
                    );
                }
            }
        }
    }
    println!("every run went through at least {LEAST:?}");
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
