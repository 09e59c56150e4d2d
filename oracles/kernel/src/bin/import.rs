//! The opponent of the import benchmark: feeds a file of framed blocks to Bitcoin Core's engine, one by one.
//!
//! ```text
//! chainwright-oracle-kernel-import CHAIN_FILE DATADIR [--threads N]
//! ```
//!
//! Every script is checked: the engine knows no assumed-valid block on regtest, and the crate offers no way to name one.
//! Its cache is fixed at 450 MiB (2 of them for the block index, 8 for the database of coins, 440 for coins in memory);
//! the crate offers no way to change it either. Blocks, undo data and coins are written to DATADIR as Bitcoin Core does,
//! and flushed before the program ends, which is part of the time.

// A command line program talks to a person.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use chainwright_oracle_kernel::{Engine, Verdict};
use clap::Parser;

/// Regtest's first bytes of every frame.
const MAGIC: [u8; 4] = [0xfa, 0xbf, 0xb5, 0xda];

/// Imports framed regtest blocks (magic ‖ length, LE u32 ‖ block) with Bitcoin Core's engine.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// The blocks, genesis left out.
    chain_file: PathBuf,
    /// An empty folder for the engine's files.
    datadir: PathBuf,
    /// Threads that check scripts, the main one included.
    #[arg(long, default_value_t = cores())]
    threads: i32,
}

type Result<T> = core::result::Result<T, Box<dyn core::error::Error>>;

fn cores() -> i32 {
    std::thread::available_parallelism().map_or(1, |cores| cores.get() as i32)
}

fn main() -> ExitCode {
    bitcoinkernel::disable_logging();
    match import(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn import(arguments: &Arguments) -> Result<()> {
    std::fs::create_dir_all(&arguments.datadir)?;
    let mut file = BufReader::with_capacity(1 << 20, File::open(&arguments.chain_file)?);
    let started = Instant::now();
    // The engine counts threads beside the one that asks.
    let engine = Engine::regtest(&arguments.datadir, arguments.threads - 1, false)?;
    let mut count = 0_u32;
    let mut block = Vec::new();
    while read_frame(&mut file, &mut block)? {
        count += 1;
        match engine.process(&block) {
            Verdict::Connected => {}
            verdict => return Err(format!("block {count} of the file: {verdict:?}").into()),
        }
    }
    let connected = started.elapsed().as_secs_f64();
    let (height, id) = engine.tip();
    drop(engine);
    let id = hex(id.into_iter().rev());
    let closed = started.elapsed().as_secs_f64();
    println!("{count} blocks in {closed:.2} s ({connected:.2} s until the last was connected)");
    println!("tip {height} {id}");
    Ok(())
}

fn hex(bytes: impl Iterator<Item = u8>) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).expect("four bits are a digit");
    bytes.flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The next block, unless the file ends here.
fn read_frame(file: &mut impl Read, block: &mut Vec<u8>) -> Result<bool> {
    let mut magic = [0; 4];
    match file.read_exact(&mut magic) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
        Err(error) => return Err(error.into()),
    }
    if magic != MAGIC {
        return Err("these are no regtest frames (magic ‖ length ‖ block)".into());
    }
    let mut length = [0; 4];
    file.read_exact(&mut length)?;
    block.resize(u32::from_le_bytes(length) as usize, 0);
    file.read_exact(block)?;
    Ok(true)
}
