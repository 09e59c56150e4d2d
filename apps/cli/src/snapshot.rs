//! `chainwright snapshot`: the state of a chain at one block, as a file, and a node that begins with it.
//!
//! A snapshot holds every header up to its block, the block itself, and all rows of the state after it. Whoever imports it
//! trusts none of that: headers are judged as if a peer had sent them, and the root of the rows has to be the header's.
//! Until then everything lies in a folder beside the chain's, which is then renamed.

mod file;
mod read;
mod write;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chainwright_chain::Ledger;
use serde_json::json;

use crate::args::SnapshotCommand;
use crate::error::{CliError, CliResult};
use crate::import::{NODE_FOLDER, default_data};
use crate::registry::{self, Assembly, Overrides};
use crate::{node, print, spec, talk};

pub(crate) use read::read;
pub(crate) use write::{Wanted, write};

/// How often a line says how far it is.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// What was written or read.
pub(crate) struct Summary {
    pub(crate) height: u32,
    /// The block's id as people write it.
    pub(crate) block: String,
    pub(crate) root: String,
    pub(crate) rows: u64,
    /// Bytes of the file.
    pub(crate) bytes: u64,
}

pub(crate) fn run(command: SnapshotCommand, is_json: bool) -> CliResult<()> {
    let started = Instant::now();
    let (summary, is_import) = match &command {
        SnapshotCommand::Export { file, from, at } => {
            let (cell, data) = open(&from.chain, from.datadir.as_deref(), from.sealing_key.as_deref())?;
            (cell.write_snapshot(&data, file, Wanted::parse(at.as_deref())?)?, false)
        }
        SnapshotCommand::Import { file, to } => {
            let (cell, data) = open(&to.chain, to.datadir.as_deref(), to.sealing_key.as_deref())?;
            (cell.read_snapshot(&data, file)?, true)
        }
    };
    let seconds = started.elapsed().as_secs_f64();
    if is_json {
        print(
            json!({
                "height": summary.height, "block": summary.block, "state_root": summary.root,
                "rows": summary.rows, "bytes": summary.bytes, "seconds": (seconds * 1000.0).round() / 1000.0,
            })
            .to_string(),
        );
        return Ok(());
    }
    let did = if is_import { "imported" } else { "exported" };
    print(format!("{did} {} rows, {:.1} MB, in {seconds:.1} s", summary.rows, summary.bytes as f64 / 1e6));
    print(format!("block  height {} {}", summary.height, summary.block));
    print(format!("root   {}", summary.root));
    if is_import {
        talk(
            "the state is the one this block's header names; whether the block is on the chain you mean, a node you trust can tell",
        );
        talk("hint: `chainwright node` with the same --chain and --datadir goes on from there");
    }
    Ok(())
}

type Opened = (Box<dyn registry::Cell>, std::path::PathBuf);

fn open(chain: &str, data: Option<&Path>, key: Option<&Path>) -> CliResult<Opened> {
    let file = spec::load(chain)?;
    let data = data.map_or_else(|| default_data(&file.name).join(NODE_FOLDER), Path::to_path_buf);
    let sealing_secret = node::sealing_secret(&file, key, &data)?;
    let overrides = Overrides { sealing_secret, ..Overrides::default() };
    Ok((registry::cell(&file, &overrides)?, data))
}

/// Headers without a root say nothing of the state: a snapshot of it could not be checked.
///
/// # Errors
/// When this ledger's headers are such.
fn check_has_root<L: Ledger>(assembly: &Assembly<L>) -> CliResult<()> {
    use chainwright_chain::{Block as _, Header as _};
    if assembly.ledger.genesis().0.header().state_root().is_some() {
        return Ok(());
    }
    Err(CliError::usage(format!(
        "headers of ledger `{}` carry no root of the state: nobody could check a snapshot of it",
        L::NAME
    ))
    .hint("`chainwright export` and `import` carry blocks, and check all of them"))
}

/// Says now and then how far it is.
struct Ticker {
    what: &'static str,
    due: Instant,
}

impl Ticker {
    fn new(what: &'static str) -> Self {
        Self { what, due: Instant::now() + LINE_INTERVAL }
    }

    fn tick(&mut self, count: u64, bytes: u64) {
        if Instant::now() >= self.due {
            self.due = Instant::now() + LINE_INTERVAL;
            talk(format!("{count} {}, {:.1} MB of the file", self.what, bytes as f64 / 1e6));
        }
    }
}

/// Whose state it is, as lines of text: what a snapshot and a chain must have in common.
fn identity_lines<L: Ledger>(assembly: &Assembly<L>) -> [(&'static str, String); 4] {
    let identity = &assembly.identity;
    let tables: Vec<_> = assembly.ledger.tables().iter().map(|table| table.name).collect();
    [
        ("ledger", identity.ledger.clone()),
        ("engine", identity.engine.clone()),
        ("chain", identity.chain.clone()),
        ("tables", tables.join(", ")),
    ]
}

impl<L: Ledger> Assembly<L> {
    /// The parts a chain is founded with.
    fn parts(&self) -> (Arc<L>, Arc<dyn chainwright_chain::Consensus<L>>) {
        (Arc::clone(&self.ledger), Arc::clone(&self.consensus))
    }
}
