//! Feeding a chain from files, and writing files from a chain.
//!
//! Blocks are read and decoded on a thread of their own, so that the driver never waits for the disk or for bzip2.

use std::collections::{HashMap, VecDeque};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use chainwright_chain::{
    Block as _, BlockId, ChainHandle, Codec as _, Header as _, Height, Imported as Fate, Ledger, Proof,
    Reject, Reply,
};

use super::Progress;
use crate::error::{CliError, CliResult, Context as _};
use crate::frames::{FrameReader, Framing, Meter, write_frame};

/// Blocks handed to the driver whose fate is open.
const IN_FLIGHT_BLOCKS: usize = 256;
/// Their bytes.
const IN_FLIGHT_BYTES: usize = 64 << 20;
/// Decoded blocks that wait for the driver.
const READ_AHEAD: usize = 64;
/// Blocks kept because their parent has not come yet: files of Bitcoin Core are not in order.
const ORPHANS_MAX: usize = 4096;
/// Headers handed to the driver at once.
const HEADER_BATCH: usize = 2000;

/// What to import.
pub(crate) struct Report {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) meter: Meter,
    pub(crate) threads: Option<usize>,
    /// Bytes of rows that are not on disk yet.
    pub(crate) cache_bytes: Option<usize>,
    pub(crate) pointers: Pointers,
    /// Whether the last block of the files becomes the head, as far as nothing is heavier.
    pub(crate) follows: bool,
}

/// Where the chain shall stand after an import, by ids. Only for engines that leave the choice to their caller.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pointers {
    /// The head; otherwise the last block of the files, or the heaviest.
    pub(crate) head: Option<BlockId>,
    pub(crate) safe: Option<BlockId>,
    pub(crate) finalized: Option<BlockId>,
}

impl Pointers {
    /// Whether any is given.
    pub(crate) fn is_any(&self) -> bool {
        self.head.or(self.safe).or(self.finalized).is_some()
    }

    /// Moves the chain.
    fn set<L: Ledger>(&self, chain: &ChainHandle<L>) -> CliResult<()> {
        let verdict = |what: &str, id: BlockId, reply: Reply<Result<(), Reject>>| {
            let verdict = reply.wait().context(|| "the chain has stopped".to_owned())?;
            verdict.map_err(|reject| {
                CliError::failed(format!("{} cannot be the {what}: {reject}", L::show_id(&id.0)))
                    .hint("name a block of the files, or one that was there before")
            })
        };
        if let Some(id) = self.head {
            verdict("head", id, chain.prefer(id))?;
        }
        if let Some(id) = self.safe {
            verdict("safe block", id, chain.safe(id))?;
        }
        if let Some(id) = self.finalized {
            verdict("finalized block", id, chain.finalize(id, Proof::default()))?;
        }
        Ok(())
    }
}

/// What was imported.
pub(crate) struct Imported {
    /// Blocks that are new and valid, or stored on a side branch.
    pub(crate) blocks: u64,
    /// Blocks that were there already.
    pub(crate) known: u64,
    /// Bytes of all of them.
    pub(crate) bytes: u64,
    /// Height of the tip.
    pub(crate) height: u32,
    /// Id of the tip as people write it.
    pub(crate) tip: String,
}

/// What was exported.
pub(crate) struct Exported {
    pub(crate) blocks: u64,
    pub(crate) bytes: u64,
}

/// One block on its way.
struct Flying {
    id: BlockId,
    bytes: Bytes,
    reply: Reply<Result<Fate, Reject>>,
}

struct Feed<'a, L: Ledger> {
    chain: &'a ChainHandle<L>,
    flying: VecDeque<Flying>,
    flying_bytes: usize,
    orphans: HashMap<BlockId, Vec<(BlockId, Bytes)>>,
    orphan_count: usize,
    /// Blocks that do not lead by themselves are made to: nobody else would.
    follows: bool,
    following: VecDeque<(BlockId, Reply<Result<(), Reject>>)>,
    blocks: u64,
    known: u64,
    bytes: u64,
}

/// Reads all files into a chain.
///
/// # Errors
/// When a file cannot be read or decoded, or a block breaks the rules.
pub(crate) fn import_blocks<L: Ledger>(
    chain: &ChainHandle<L>,
    framing: Framing,
    report: &Report,
    progress: &mut Progress,
) -> CliResult<Imported> {
    let mut feed = Feed {
        chain,
        flying: VecDeque::new(),
        flying_bytes: 0,
        orphans: HashMap::new(),
        orphan_count: 0,
        follows: report.follows,
        following: VecDeque::new(),
        blocks: 0,
        known: 0,
        bytes: 0,
    };
    let (sender, decoded) = std::sync::mpsc::sync_channel(READ_AHEAD);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for file in &report.files {
                if let Err(error) = read_file::<L>(file, framing, &report.meter, &sender) {
                    // The other side has given up when it does not listen.
                    let _ = sender.send(Err(error));
                    return;
                }
            }
        });
        for item in decoded {
            let (block, bytes) = item?;
            feed.offer(block, bytes)?;
            progress.update(feed.blocks, chain.published().head().headers.height().0);
        }
        feed.land_all()?;
        feed.followed(0)
    })?;
    report.pointers.set(chain)?;
    chain
        .sync()
        .wait()
        .context(|| "the chain has stopped".to_owned())?
        .context(|| "cannot flush".to_owned())?;
    if feed.orphan_count > 0 {
        let parent = feed.orphans.keys().next().copied().unwrap_or(BlockId::ZERO);
        return Err(CliError::failed(format!(
            "{} blocks have no parent, such as the child of {}",
            feed.orphan_count,
            L::show_id(&parent.0)
        ))
        .hint("import the file with the blocks before them first, or give all files at once"));
    }
    let head = chain.published().head().headers;
    Ok(Imported {
        blocks: feed.blocks,
        known: feed.known,
        bytes: feed.bytes,
        height: head.height().0,
        tip: L::show_id(&head.id().0),
    })
}

type Decoded<L> = CliResult<(<L as Ledger>::Block, Bytes)>;

fn read_file<L: Ledger>(
    file: &Path,
    framing: Framing,
    meter: &Meter,
    sender: &std::sync::mpsc::SyncSender<Decoded<L>>,
) -> CliResult<()> {
    let cannot_read = || format!("cannot read {}", file.display());
    let mut reader = FrameReader::open(file, framing, Meter::clone(meter)).context(cannot_read)?;
    let mut number = 0_u64;
    while let Some(bytes) = reader.next().context(cannot_read)? {
        number += 1;
        let block = L::Block::decode(&bytes)
            .context(|| format!("{}: block number {number} does not decode", file.display()))?;
        if sender.send(Ok((block, bytes))).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Hands all headers of the files to the driver first, so that an assumed-valid block is known before its ancestors come.
///
/// # Errors
/// As [`import_blocks`].
pub(crate) fn import_headers<L: Ledger>(
    chain: &ChainHandle<L>,
    framing: Framing,
    files: &[PathBuf],
) -> CliResult<()> {
    let mut batch = Vec::new();
    let hand_in = |batch: &mut Vec<L::Header>| {
        let reply = chain.import_headers(std::mem::take(batch)).wait();
        // Headers that do not fit are met again with their blocks, and judged there.
        reply.map(drop).context(|| "the chain has stopped".to_owned())
    };
    for file in files.iter().filter(|file| *file != Path::new("-")) {
        let cannot_read = || format!("cannot read {}", file.display());
        let mut reader = FrameReader::open(file, framing, Meter::default()).context(cannot_read)?;
        while let Some(bytes) = reader.next().context(cannot_read)? {
            let Ok(block) = L::Block::decode(&bytes) else { break };
            batch.push(block.header().clone());
            if batch.len() == HEADER_BATCH {
                hand_in(&mut batch)?;
            }
        }
    }
    hand_in(&mut batch)
}

impl<L: Ledger> Feed<'_, L> {
    fn offer(&mut self, block: L::Block, bytes: Bytes) -> CliResult<()> {
        self.flying_bytes += bytes.len();
        let id = block.header().id();
        self.flying.push_back(Flying { id, bytes, reply: self.chain.import(block) });
        while self.flying.len() >= IN_FLIGHT_BLOCKS || self.flying_bytes >= IN_FLIGHT_BYTES {
            self.land_one()?;
        }
        Ok(())
    }

    fn land_all(&mut self) -> CliResult<()> {
        while !self.flying.is_empty() {
            self.land_one()?;
        }
        Ok(())
    }

    fn land_one(&mut self) -> CliResult<()> {
        let Some(Flying { id, bytes, reply }) = self.flying.pop_front() else { return Ok(()) };
        self.flying_bytes -= bytes.len();
        let verdict = reply.wait().map_err(|fault| {
            let fault = self.chain.published().fault().unwrap_or(fault);
            CliError::failed(format!("the chain has stopped: {fault}"))
        })?;
        match verdict {
            Ok(Fate::Known) => self.known += 1,
            Ok(fate @ (Fate::Valid | Fate::Stored)) => {
                self.blocks += 1;
                self.bytes += bytes.len() as u64;
                if self.follows && fate == Fate::Stored {
                    self.following.push_back((id, self.chain.prefer(id)));
                    self.followed(IN_FLIGHT_BLOCKS)?;
                }
            }
            // Genesis is in some files; nobody is its parent.
            Err(Reject::MissingParent(parent)) if parent == BlockId::ZERO => self.known += 1,
            Err(Reject::MissingParent(parent)) => return self.keep_orphan(parent, id, bytes),
            Err(reject) => {
                return Err(CliError::failed(format!("block {}: {reject}", L::show_id(&id.0)))
                    .hint("everything before it is imported; is this the right chain for the file?"));
            }
        }
        self.adopt_children(id)
    }

    /// Waits until no more than `open` blocks are on their way to the head.
    fn followed(&mut self, open: usize) -> CliResult<()> {
        while self.following.len() > open {
            let Some((id, reply)) = self.following.pop_front() else { break };
            let verdict = reply.wait().context(|| "the chain has stopped".to_owned())?;
            verdict.map_err(|reject| {
                CliError::failed(format!("block {}: {reject}", L::show_id(&id.0)))
                    .hint("everything before it is imported; is this the right chain for the file?")
            })?;
        }
        Ok(())
    }

    fn keep_orphan(&mut self, parent: BlockId, id: BlockId, bytes: Bytes) -> CliResult<()> {
        // The parent may have landed since this block was judged.
        if self.chain.published().headers(&parent).is_some()
            && self.chain.published().bodies().has_body(&parent)
        {
            return self.offer_again(bytes);
        }
        if self.orphan_count >= ORPHANS_MAX {
            return Err(CliError::failed(format!(
                "more than {ORPHANS_MAX} blocks came before their parents, the last one being {}",
                L::show_id(&id.0)
            ))
            .hint("give the files in the order in which they were written"));
        }
        self.orphan_count += 1;
        self.orphans.entry(parent).or_default().push((id, bytes));
        Ok(())
    }

    fn adopt_children(&mut self, id: BlockId) -> CliResult<()> {
        let children = self.orphans.remove(&id).unwrap_or_default();
        self.orphan_count -= children.len();
        children.into_iter().try_for_each(|(_, bytes)| self.offer_again(bytes))
    }

    fn offer_again(&mut self, bytes: Bytes) -> CliResult<()> {
        let block = L::Block::decode(&bytes).context(|| "a block that was decoded before".to_owned())?;
        self.offer(block, bytes)
    }
}

/// Writes the blocks of the chain between two heights.
///
/// # Errors
/// When the file cannot be written or a block is not stored.
pub(crate) fn export_blocks<L: Ledger>(
    chain: &ChainHandle<L>,
    framing: Framing,
    file: &Path,
    (from, to): (u32, Option<u32>),
) -> CliResult<Exported> {
    let cannot_write = || format!("cannot write {}", file.display());
    let raw: Box<dyn std::io::Write> = if file == Path::new("-") {
        Box::new(std::io::stdout().lock())
    } else {
        Box::new(std::fs::File::create_new(file).context(cannot_write)?)
    };
    let mut out = std::io::BufWriter::with_capacity(1 << 20, raw);
    let head = chain.published().head().headers;
    let last = to.unwrap_or(head.height().0).min(head.height().0);
    let mut exported = Exported { blocks: 0, bytes: 0 };
    for height in from..=last {
        let Some(block) = head.ancestor(Height(height)) else { break };
        let id = block.id();
        let missing = || CliError::failed(format!("block {} is not stored", L::show_id(&id.0)));
        let body = chain.published().bodies().body(&id).context(|| "cannot read a block".to_owned())?;
        let body = body.ok_or_else(missing)?;
        write_frame(&mut out, framing, &body).context(cannot_write)?;
        exported.blocks += 1;
        exported.bytes += body.len() as u64 + framing.overhead();
    }
    out.flush().context(cannot_write)?;
    Ok(exported)
}
