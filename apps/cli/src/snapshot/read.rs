//! Reading a snapshot into an empty data directory.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use chainwright_chain::{Codec as _, Foundation, Ledger, Proof, Reject, TableId, Timestamp, Weight};
use chainwright_node::WallClock;
use chainwright_store::{DiskStore, Options, RealDisk};

use super::file::{Kind, ReadError, Reader, take_bytes};
use super::{Summary, Ticker, check_has_root, identity_lines};
use crate::error::{CliError, CliResult, Context as _};
use crate::node::make_data_folder;
use crate::registry::Assembly;

/// Where a node keeps its chain.
const CHAIN: &str = "chain";
/// Where it lies until everything has been checked.
const FRESH: &str = "chain.importing";

/// Has a chain begin with the state in a file. Nothing is left behind if it is not right.
///
/// # Errors
/// When the directory holds a chain already, or the file is damaged, incomplete, of another chain, or not what its header says.
pub(crate) fn read<L: Ledger>(assembly: &Assembly<L>, data: &Path, file: &Path) -> CliResult<Summary> {
    check_has_root(assembly)?;
    let chain = data.join(CHAIN);
    if std::fs::read_dir(&chain).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(CliError::failed(format!("{} holds a chain already", data.display()))
            .hint("choose an empty data directory with --datadir DIR"));
    }
    let input = std::fs::File::open(file).context(|| format!("cannot read {}", file.display()))?;
    let bytes = input.metadata().map_or(0, |metadata| metadata.len());
    let mut source = Source { name: file.display().to_string(), frames: None };
    source.frames =
        Some(Reader::begin(BufReader::with_capacity(1 << 20, input)).map_err(|error| source.wrong(&error))?);
    let head = source.head(assembly)?;
    make_data_folder(data)?;
    let fresh = Fresh::make(data.join(FRESH))?;
    let summary = found(assembly, &mut source, &fresh, head)?;
    fresh.become_chain(&chain)?;
    Ok(Summary { bytes, ..summary })
}

/// A folder that is removed unless it becomes the chain's.
struct Fresh(PathBuf);

impl Fresh {
    fn make(folder: PathBuf) -> CliResult<Self> {
        // Whoever holds it is at work; what nobody holds was left behind by an import that was killed.
        drop(RealDisk::open(&folder).map_err(|error| CliError::failed(error.to_string()))?);
        std::fs::remove_dir_all(&folder).context(|| format!("cannot clear {}", folder.display()))?;
        Ok(Self(folder))
    }

    fn become_chain(self, chain: &Path) -> CliResult<()> {
        let renamed = std::fs::rename(&self.0, chain).and_then(|()| {
            let above = chain.parent().unwrap_or(Path::new("."));
            std::fs::File::open(above)?.sync_all()
        });
        renamed.context(|| format!("cannot rename {} to {}", self.0.display(), chain.display()))
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // Renamed, or in the way of nobody but the next import, which clears it.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The file, with its name for messages.
struct Source<R> {
    name: String,
    frames: Option<Reader<R>>,
}

/// What the first frame says.
struct Head {
    height: u32,
    block: String,
    root: String,
}

impl<R: Read> Source<R> {
    fn wrong(&self, error: &ReadError) -> CliError {
        let error_text = CliError::failed(format!("{}: {error}", self.name));
        match error {
            ReadError::NoSnapshot => error_text.hint("`chainwright snapshot export` writes one"),
            ReadError::Io(_) => error_text,
            _ => error_text.hint("fetch the file again from where it came; nothing was imported"),
        }
    }

    fn nonsense(&self, what: &'static str) -> CliError {
        let at = self.frames.as_ref().map_or(0, |frames| frames.at);
        self.wrong(&ReadError::Nonsense(at, what))
    }

    fn at(&self) -> u64 {
        self.frames.as_ref().map_or(0, |frames| frames.at)
    }

    fn frame(&mut self) -> CliResult<(Kind, Vec<u8>)> {
        let frame = self.frames.as_mut().expect("it was opened").frame();
        frame.map_err(|error| self.wrong(&error))
    }

    /// The first frame, compared with the chain that is wanted.
    fn head<L: Ledger>(&mut self, assembly: &Assembly<L>) -> CliResult<Head> {
        let (kind, bytes) = self.frame()?;
        let text = String::from_utf8(bytes).ok().filter(|_| kind == Kind::Head);
        let text = text.ok_or_else(|| self.nonsense("it does not say what it holds"))?;
        let line = |name: &str| {
            let found = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            found.unwrap_or_default().to_owned()
        };
        for (name, wanted) in identity_lines(assembly) {
            if line(name) != wanted {
                return Err(CliError::failed(format!(
                    "{} is a snapshot of another chain: its {name} is `{}`, not `{wanted}`",
                    self.name,
                    line(name)
                ))
                .hint("name the chain it was made of with --chain"));
            }
        }
        let height = line("height").parse().map_err(|_| self.nonsense("it names no height"))?;
        Ok(Head { height, block: line("block"), root: line("root") })
    }
}

fn found<L: Ledger, R: Read>(
    assembly: &Assembly<L>,
    source: &mut Source<R>,
    fresh: &Fresh,
    head: Head,
) -> CliResult<Summary> {
    let disk = RealDisk::open(&fresh.0).context(|| "cannot use the data directory".to_owned())?;
    // Steps of rows are nothing anybody goes back to.
    let options = Options { journal_steps_min: Some(1), ..Options::default() };
    let store = DiskStore::open(Arc::new(disk), assembly.identity.clone(), options)
        .context(|| "cannot use the data directory".to_owned())?;
    let (ledger, consensus) = assembly.parts();
    let failed = |fault: chainwright_chain::Fault| CliError::failed(format!("cannot import: {fault}"));
    let mut foundation = Foundation::begin(ledger, consensus, Box::new(store)).map_err(failed)?;
    let (mut kind, mut bytes) = source.frame()?;
    while kind == Kind::Headers {
        take_headers(source, &mut foundation, &bytes)?;
        (kind, bytes) = source.frame()?;
    }
    let at = foundation.headers().clone();
    if at.height().0 != head.height || L::show_id(&at.id().0) != head.block {
        return Err(source.nonsense("its headers lead to another block than it says"));
    }
    if kind != Kind::Body {
        return Err(source.nonsense("the block itself is missing"));
    }
    let body =
        L::Block::decode(&Bytes::from(bytes)).map_err(|_| source.nonsense("the block does not decode"))?;
    (kind, bytes) = source.frame()?;
    let mut proof = None;
    if kind == Kind::Proof {
        proof = Some(Proof(Bytes::from(bytes)));
        (kind, bytes) = source.frame()?;
    }
    check_is_tied(assembly, foundation.headers().weight(), proof.is_some())?;
    let (mut rows, mut ticker) = (0, Ticker::new("rows"));
    while kind == Kind::Rows {
        rows += take_rows(source, &mut foundation, &bytes)?;
        ticker.tick(rows, source.at());
        (kind, bytes) = source.frame()?;
    }
    let counts = [u64::from(head.height).to_le_bytes(), rows.to_le_bytes()].concat();
    if kind != Kind::End || bytes != counts {
        return Err(source.nonsense("a part is missing"));
    }
    source.frames.as_mut().expect("it was opened").end().map_err(|error| source.wrong(&error))?;
    foundation.finish(body, proof).map_err(|reject| refused::<R>(source, &head.block, &reject))?;
    Ok(Summary { height: head.height, block: head.block, root: head.root, rows, bytes: 0 })
}

fn refused<R: Read>(source: &Source<R>, block: &str, reject: &Reject) -> CliError {
    match reject {
        Reject::Fault(fault) => CliError::failed(format!("cannot import: {fault}")),
        _ => CliError::failed(format!("{} is not the state of block {block}: {reject}", source.name))
            .hint("do not trust whoever made it; nothing was imported"),
    }
}

/// Work or a proof has to tie headers to the chain: without either anybody could have written them.
fn check_is_tied<L: Ledger>(assembly: &Assembly<L>, weight: Weight, has_proof: bool) -> CliResult<()> {
    let genesis = chainwright_chain::Block::header(&assembly.ledger.genesis().0).clone();
    if has_proof || assembly.is_external() || weight > assembly.consensus.weight(&genesis) {
        return Ok(());
    }
    Err(CliError::failed("the snapshot's block has no proof that it is final")
        .hint("export the state of a block that is final"))
}

fn take_headers<L: Ledger, R: Read>(
    source: &Source<R>,
    foundation: &mut Foundation<L>,
    mut frame: &[u8],
) -> CliResult<()> {
    let now = Timestamp(WallClock::real().as_secs());
    while !frame.is_empty() {
        let height = foundation.headers().height().next();
        let bytes = take_bytes(&mut frame).ok_or_else(|| source.nonsense("a header is cut off"))?;
        let header = L::Header::decode(&Bytes::copy_from_slice(bytes))
            .context(|| format!("{}: header {height} does not decode", source.name))?;
        foundation.header(header, now).map_err(|reject| match reject {
            Reject::Fault(fault) => CliError::failed(format!("cannot import: {fault}")),
            _ => CliError::failed(format!("{}: header {height}: {reject}", source.name))
                .hint("do not trust whoever made it; nothing was imported"),
        })?;
    }
    Ok(())
}

fn take_rows<L: Ledger, R: Read>(
    source: &Source<R>,
    foundation: &mut Foundation<L>,
    mut frame: &[u8],
) -> CliResult<u64> {
    let mut rows = Vec::new();
    while let Some((table, rest)) = frame.split_first() {
        frame = rest;
        let row = take_bytes(&mut frame).zip(take_bytes(&mut frame));
        let (key, value) = row.ok_or_else(|| source.nonsense("a row is cut off"))?;
        rows.push((TableId(*table), key, value));
    }
    let count = rows.len() as u64;
    foundation.rows(rows.into_iter()).map_err(|reject| refused(source, "the snapshot", &reject))?;
    Ok(count)
}
