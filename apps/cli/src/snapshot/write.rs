//! Writing a snapshot.

use std::io::{BufWriter, Write};
use std::path::Path;

use chainwright_chain::{BlockId, Codec as _, Fault, Headers, Height, Ledger, Published, TableId, View};

use super::file::{FRAME_BYTES, Kind, Writer, put_bytes};
use super::{Summary, Ticker, check_has_root, identity_lines};
use crate::error::{CliError, CliResult, Context as _};
use crate::registry::Assembly;
use crate::spec;

/// How far below the head a snapshot is taken where nothing is final: no reorganisation should reach it.
const DEPTH: u32 = 128;

/// Which block's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The final one, or one deep enough.
    Steady,
    Height(u32),
    Id(BlockId),
}

impl Wanted {
    /// Reads a height or an id.
    pub(crate) fn parse(text: Option<&str>) -> CliResult<Self> {
        let Some(text) = text else { return Ok(Self::Steady) };
        if let Ok(height) = text.parse() {
            return Ok(Self::Height(height));
        }
        let bytes = spec::decode_hex(text.trim_start_matches("0x")).and_then(|bytes| bytes.try_into().ok());
        bytes.map(|bytes| Self::Id(BlockId(bytes))).ok_or_else(|| {
            CliError::usage(format!("`{text}` is neither a height nor a block hash"))
                .hint("give a number, or 64 hexadecimal digits")
        })
    }

    fn find<L: Ledger>(self, published: &Published<L>) -> CliResult<Headers<L>> {
        let head = published.head().headers;
        let found = match self {
            Self::Steady => match published.finalized() {
                Some(done) => Some(done),
                None => head.height().0.checked_sub(DEPTH).and_then(|height| head.ancestor(Height(height))),
            },
            Self::Height(height) => {
                head.ancestor(Height(height)).filter(|found| found.height() == Height(height))
            }
            Self::Id(id) => published.headers(&id).filter(|found| head.contains(found)),
        };
        let found = found.filter(|found| found.height() > Height::GENESIS);
        found.ok_or_else(|| match self {
            Self::Steady => CliError::failed(format!(
                "no block is final, and the chain is only {} blocks long: what lies less than {DEPTH} deep may be reorganised",
                head.height()
            ))
            .hint("name a block with --at HEIGHT"),
            _ => CliError::failed(format!("the chain has no such block; its head is at height {}", head.height()))
                .hint("name a block between 1 and the head"),
        })
    }
}

/// Writes the state after a block.
///
/// # Errors
/// When the ledger has no root, the block's state is not to be had any more, or the file cannot be written.
pub(crate) fn write<L: Ledger>(
    assembly: &Assembly<L>,
    published: &Published<L>,
    file: &Path,
    wanted: Wanted,
) -> CliResult<Summary> {
    check_has_root(assembly)?;
    let at = wanted.find(published)?;
    let view = published.view(&at, u32::MAX).context(|| format!("no snapshot at height {}", at.height()))?;
    let cannot_write = || format!("cannot write {}", file.display());
    let out = std::fs::File::create_new(file).map_err(|error| {
        CliError::failed(format!("{}: {error}", cannot_write())).hint("choose a file that does not exist")
    })?;
    let written = write_parts(assembly, published, &view, BufWriter::with_capacity(1 << 20, out));
    if written.is_err() {
        // Half a snapshot is of no use to anybody; if it cannot be removed it is recognised as half.
        let _ = std::fs::remove_file(file);
    }
    written.context(cannot_write)
}

fn write_parts<L: Ledger>(
    assembly: &Assembly<L>,
    published: &Published<L>,
    view: &View<L>,
    out: BufWriter<std::fs::File>,
) -> Result<Summary, Fault> {
    let at = &view.headers;
    let root = at.state_root().map(|root| L::show_id(&root.0)).unwrap_or_default();
    let block = L::show_id(&at.id().0);
    let mut writer = Writer::begin(out)?;
    let mut lines = identity_lines(assembly).to_vec();
    lines.extend([("height", at.height().to_string()), ("block", block.clone()), ("root", root.clone())]);
    let head: Vec<_> = lines.iter().map(|(name, value)| format!("{name} {value}")).collect();
    writer.frame(Kind::Head, head.join("\n").as_bytes())?;
    let headers = write_headers(&mut writer, at)?;
    let missing = || Fault::new(format!("the body of block {block} is not stored"));
    writer.frame(Kind::Body, &published.bodies().body(&at.id())?.ok_or_else(missing)?)?;
    if let Some(proof) = published.proof(&at.id()) {
        writer.frame(Kind::Proof, &proof.0)?;
    }
    let rows = write_rows(&mut writer, view)?;
    writer.frame(Kind::End, &[headers.to_le_bytes(), rows.to_le_bytes()].concat())?;
    let bytes = writer.written;
    let out = writer.finish()?.into_inner().map_err(|error| Fault::from(error.into_error()))?;
    out.sync_all()?;
    Ok(Summary { height: at.height().0, block, root, rows, bytes })
}

fn write_headers<L: Ledger, W: Write>(writer: &mut Writer<W>, at: &Headers<L>) -> Result<u64, Fault> {
    let mut frame = Vec::new();
    for height in 1..=at.height().0 {
        let header = at.ancestor(Height(height)).expect("heights up to the branch's end exist");
        put_bytes(&mut frame, &header.header().to_bytes());
        flush(writer, Kind::Headers, &mut frame, FRAME_BYTES)?;
    }
    flush(writer, Kind::Headers, &mut frame, 1)?;
    Ok(u64::from(at.height().0))
}

fn write_rows<L: Ledger, W: Write>(writer: &mut Writer<W>, view: &View<L>) -> Result<u64, Fault> {
    let (mut frame, mut rows, mut ticker) = (Vec::new(), 0, Ticker::new("rows"));
    for table in 0..view.state.tables().len() {
        let table = TableId(table as u8);
        view.state.scan(table, &mut |key, value| {
            frame.push(table.0);
            put_bytes(&mut frame, key);
            put_bytes(&mut frame, value);
            rows += 1;
            ticker.tick(rows, writer.written);
            flush(writer, Kind::Rows, &mut frame, FRAME_BYTES)
        })?;
    }
    flush(writer, Kind::Rows, &mut frame, 1)?;
    Ok(rows)
}

/// Writes a frame that has grown long enough.
fn flush<W: Write>(
    writer: &mut Writer<W>,
    kind: Kind,
    frame: &mut Vec<u8>,
    least: usize,
) -> Result<(), Fault> {
    if frame.len() >= least {
        writer.frame(kind, frame)?;
        frame.clear();
    }
    Ok(())
}
