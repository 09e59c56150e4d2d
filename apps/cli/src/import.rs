//! `chainwright import` and `export`: blocks between files and a data directory, without sockets.
//!
//! An import goes the way every block goes: the driver prepares, executes and checks it, and the journal keeps it.

mod feed;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use chainwright_chain::BlockId;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

pub(crate) use feed::{Exported, Imported, Pointers, Report, export_blocks, import_blocks, import_headers};

use crate::args::{ExportArgs, ImportArgs};
use crate::discovery::DATA;
use crate::error::{CliError, CliResult};
use crate::frames::Meter;
use crate::node::sealing_secret;
use crate::registry::{self, Overrides};
use crate::{print, spec, talk};

/// How often a line is printed where no bar can be drawn.
const LINE_INTERVAL: Duration = Duration::from_secs(5);

/// Progress on standard error: a bar on a terminal, a line now and then elsewhere.
pub(crate) struct Progress {
    bar: Option<ProgressBar>,
    total: Option<u64>,
    meter: Meter,
    started: Instant,
    line_at: Instant,
}

impl Progress {
    fn new(total: Option<u64>, meter: Meter, is_json: bool) -> Self {
        let is_terminal = std::io::IsTerminal::is_terminal(&std::io::stderr());
        let bar = (is_terminal && !is_json).then(|| {
            let bar = total.map_or_else(ProgressBar::no_length, ProgressBar::new);
            let style = "{bar:30} {bytes}/{total_bytes}  {msg}  {eta} left";
            bar.with_style(
                ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
            )
        });
        let now = Instant::now();
        Self { bar, total, meter, started: now, line_at: now + LINE_INTERVAL }
    }

    /// Shows how far the work has come.
    pub(crate) fn update(&mut self, blocks: u64, height: u32) {
        let done = self.meter.load(Ordering::Relaxed);
        let seconds = self.started.elapsed().as_secs_f64().max(0.001);
        let rate = blocks as f64 / seconds;
        if let Some(bar) = &self.bar {
            bar.set_position(done);
            bar.set_message(format!("height {height}, {rate:.0} blocks/s"));
        } else if Instant::now() >= self.line_at {
            self.line_at = Instant::now() + LINE_INTERVAL;
            let left = self.total.filter(|_| done > 0).map(|total| {
                let left = total.saturating_sub(done) as f64 * seconds / done as f64;
                format!(", {left:.0} s left")
            });
            talk(format!("{blocks} blocks, height {height}, {rate:.0} blocks/s{}", left.unwrap_or_default()));
        }
    }

    fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The folder of a single node among a chain's data.
pub(crate) const NODE_FOLDER: &str = "node";

/// Where a chain's data lies unless told otherwise.
pub(crate) fn default_data(chain: &str) -> PathBuf {
    Path::new(DATA).join(chain)
}

pub(crate) fn import(args: &ImportArgs, is_json: bool) -> CliResult<()> {
    let file = spec::load(&args.chain)?;
    let data = args.datadir.clone().unwrap_or_else(|| default_data(&file.name).join(NODE_FOLDER));
    let mut overrides = Overrides::assume(args.assumevalid.as_deref())?;
    overrides.sealing_secret = sealing_secret(&file, args.sealing_key.as_deref(), &data)?;
    let cell = registry::cell(&file, &overrides)?;
    let meter = Meter::default();
    let sizes = args.files.iter().map(|path| std::fs::metadata(path).map(|metadata| metadata.len()).ok());
    let mut progress = Progress::new(sizes.sum(), Meter::clone(&meter), is_json);
    let pointers = Pointers {
        head: pointer(args.head.as_deref())?,
        safe: pointer(args.safe.as_deref())?,
        finalized: pointer(args.finalized.as_deref())?,
    };
    let report = Report {
        files: args.files.clone(),
        meter,
        threads: args.threads,
        cache_bytes: args.cache_mib,
        pointers,
        follows: false,
    };
    let started = Instant::now();
    let imported = cell.import(&data, report, &mut progress);
    progress.finish();
    let imported = imported?;
    let seconds = started.elapsed().as_secs_f64().max(0.001);
    let rate = imported.blocks as f64 / seconds;
    if is_json {
        print(
            json!({
                "blocks": imported.blocks, "known": imported.known, "bytes": imported.bytes,
                "seconds": (seconds * 1000.0).round() / 1000.0, "blocks_per_second": rate.round(),
                "height": imported.height, "tip": imported.tip,
            })
            .to_string(),
        );
        return Ok(());
    }
    let known = match imported.known {
        0 => String::new(),
        known => format!(" ({known} were there already)"),
    };
    print(format!(
        "imported {} blocks{known} in {seconds:.1} s: {rate:.0} blocks/s, {:.1} MB/s",
        imported.blocks,
        imported.bytes as f64 / 1e6 / seconds
    ));
    print(format!("tip height {} {}", imported.height, imported.tip));
    Ok(())
}

/// A block's id as these chains write it: the hash's bytes in their order.
fn pointer(text: Option<&str>) -> CliResult<Option<BlockId>> {
    let Some(text) = text else { return Ok(None) };
    let bytes = spec::decode_hex(text.trim_start_matches("0x")).and_then(|bytes| bytes.try_into().ok());
    bytes.map(|bytes| Some(BlockId(bytes))).ok_or_else(|| {
        CliError::usage(format!("`{text}` is no block hash")).hint("give 64 hexadecimal digits")
    })
}

pub(crate) fn export(args: &ExportArgs, is_json: bool) -> CliResult<()> {
    let file = spec::load(&args.chain)?;
    let data = args.datadir.clone().unwrap_or_else(|| default_data(&file.name).join(NODE_FOLDER));
    let sealing_secret = sealing_secret(&file, args.sealing_key.as_deref(), &data)?;
    let overrides = Overrides { sealing_secret, ..Overrides::default() };
    let cell = registry::cell(&file, &overrides)?;
    if !data.is_dir() {
        return Err(CliError::usage(format!("there is no data directory {}", data.display()))
            .hint("name it with --datadir DIR"));
    }
    let exported = cell.export(&data, &args.file, (args.from, args.to))?;
    if is_json {
        talk(json!({ "blocks": exported.blocks, "bytes": exported.bytes }).to_string());
    } else {
        talk(format!("exported {} blocks, {} bytes", exported.blocks, exported.bytes));
    }
    Ok(())
}
