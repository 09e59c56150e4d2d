//! What is asked of the indexes, from any thread.

use std::path::Path;
use std::sync::Arc;

use chainwright_chain::{
    BlockId, Cursor, Fault, Header as _, Headers, Height, Ledger, PastError, Published, StateView, Timeline,
    View,
};
use fjall::Snapshot;
use parking_lot::{Mutex, RwLock};

use crate::database::{Database, Space, Trouble, decode_cursor};
use crate::generations::Generations;
use crate::history::HistoryRows;
use crate::postings::{self, Blocks};

/// Blocks the chain takes back for a picture of where the index stands: as far as it may be behind when it is asked.
const BEHIND_MAX: u32 = 1_024;
/// How often the head may move while a picture is taken.
const ATTEMPTS: usize = 5;
/// How often a damaged database is built again before somebody has to look.
pub(crate) const RENEWALS_MAX: u32 = 3;

/// Under which words the blocks of a ledger are found again.
///
/// Pure, and the same answer for the same block at all times: what a block added is removed by asking again.
pub trait Tags<L: Ledger>: Send + Sync + 'static {
    /// Shows every tag of a block to `tag`; the same one as often as it comes.
    fn tags(&self, block: &L::Block, receipts: &L::Receipts, tag: &mut dyn FnMut(&[u8]));
}

/// Blocks without tags.
impl<L: Ledger> Tags<L> for () {
    fn tags(&self, _: &L::Block, _: &L::Receipts, _: &mut dyn FnMut(&[u8])) {}
}

/// An index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Where transactions stand.
    Items,
    /// Which blocks carry a tag.
    Tags,
    /// States after older blocks.
    History,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Items, Self::Tags, Self::History];

    /// What it is called on disk and in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Items => "items",
            Self::Tags => "tags",
            Self::History => "history",
        }
    }
}

/// Of which blocks the state can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum States {
    /// All.
    All,
    /// This many below the newest one.
    Last(u32),
}

/// Which indexes are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Where transactions stand.
    pub items: bool,
    /// Which blocks carry a tag.
    pub tags: bool,
    /// States after older blocks.
    pub history: Option<States>,
}

impl Options {
    /// Whether an index is kept.
    pub const fn keeps(&self, kind: Kind) -> bool {
        match kind {
            Kind::Items => self.items,
            Kind::Tags => self.tags,
            Kind::History => self.history.is_some(),
        }
    }
}

/// Why an index has no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IndexError {
    /// This node does not keep it.
    #[error("the index of {} is not kept", .0.name())]
    Off(Kind),
    /// It is being built.
    #[error("the index of {} is being built: it stands at block {at} of {head}", kind.name())]
    Behind {
        /// Which.
        kind: Kind,
        /// The last block it knows.
        at: Height,
        /// The newest block.
        head: Height,
    },
    /// The state is not kept any more.
    #[error("state at height {asked} is not available; the oldest is at height {oldest}")]
    TooOld {
        /// The height asked for.
        asked: Height,
        /// The lowest height that is kept.
        oldest: Height,
    },
    /// The block is not part of the chain.
    #[error("the block is not part of the chain")]
    NotInChain,
    /// What lies on disk is not what was written; it is built again.
    #[error("the indexes are damaged and are being built again: {0}")]
    Damaged(String),
    /// The disk fails or is full.
    #[error("the indexes cannot be read or written: {0}")]
    Disk(String),
    /// The chain cannot be read.
    #[error(transparent)]
    Chain(#[from] Fault),
}

impl From<Trouble> for IndexError {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Damaged(why) => Self::Damaged(why),
            Trouble::Disk(why) => Self::Disk(why),
        }
    }
}

/// Where an item stands.
pub struct Found<L: Ledger> {
    /// Height and position of the item on the branch that ends with `upto`, if it is there.
    pub place: Option<(Height, u32)>,
    /// The last block the index knows. The chain may have left it behind: only what it shares with the head counts.
    pub upto: Headers<L>,
}

/// The indexes of one chain.
pub struct Indexes<L: Ledger> {
    pub(crate) published: Arc<Published<L>>,
    pub(crate) tags: Arc<dyn Tags<L>>,
    pub(crate) options: Options,
    /// The open database, or why there is none now.
    database: RwLock<Result<Arc<Database>, IndexError>>,
    /// Held by who writes.
    pub(crate) writer: Mutex<Writer>,
    /// What a reader found damaged.
    pub(crate) damage: Mutex<Option<String>>,
}

/// What only the one who writes needs.
pub(crate) struct Writer {
    pub(crate) generations: Generations,
    pub(crate) renewals: u32,
}

impl<L: Ledger> Indexes<L> {
    /// Opens the indexes in a folder of their own, made if need be. Damaged ones are given up: they begin anew.
    ///
    /// # Errors
    /// [`IndexError::Disk`] if the folder cannot be used.
    pub fn open(
        published: Arc<Published<L>>,
        folder: &Path,
        options: Options,
        tags: Arc<dyn Tags<L>>,
    ) -> Result<Self, IndexError> {
        let chain = published.ledger().genesis().0;
        let chain = chainwright_chain::Block::header(&chain).id().0;
        let (generations, database, _) = Generations::open(folder, chain)?;
        Ok(Self {
            published,
            tags,
            options,
            database: RwLock::new(Ok(database)),
            writer: Mutex::new(Writer { generations, renewals: 0 }),
            damage: Mutex::default(),
        })
    }

    /// What is kept.
    pub const fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn database(&self) -> Result<Arc<Database>, IndexError> {
        self.database.read().clone()
    }

    pub(crate) fn set_database(&self, database: Result<Arc<Database>, IndexError>) {
        *self.database.write() = database;
    }

    /// Remembers what a reader met, so that the one who writes builds the database again.
    fn noted<T>(&self, answer: Result<T, IndexError>) -> Result<T, IndexError> {
        if let Err(IndexError::Damaged(why)) = &answer {
            self.damage.lock().get_or_insert_with(|| why.clone());
        }
        answer
    }

    /// How far an index has come; `None` before its first block.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn cursor(&self, kind: Kind) -> Result<Option<Cursor>, IndexError> {
        let database = self.kept(kind)?;
        self.noted(cursor_at(&database, &database.snapshot(), kind))
    }

    /// Bytes of all tables' files, without what waits in memory.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn disk_bytes(&self) -> Result<u64, IndexError> {
        Ok(self.database()?.disk_bytes())
    }

    fn kept(&self, kind: Kind) -> Result<Arc<Database>, IndexError> {
        if self.options.keeps(kind) { self.database() } else { Err(IndexError::Off(kind)) }
    }

    /// The last block an index knows in a snapshot.
    fn upto(&self, database: &Database, at: &Snapshot, kind: Kind) -> Result<Headers<L>, IndexError> {
        let head = || self.published.head().headers.height();
        let cursor = cursor_at(database, at, kind)?;
        let cursor = cursor.ok_or_else(|| IndexError::Behind { kind, at: Height::GENESIS, head: head() })?;
        let unknown = || IndexError::Damaged(format!("the chain has no block {}", show::<L>(&cursor.id)));
        self.published.headers(&cursor.id).ok_or_else(unknown)
    }

    /// Where the item with an id stands. Where one id stands for several items, the last one is found.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn find(&self, id: &[u8; 32]) -> Result<Found<L>, IndexError> {
        let database = self.kept(Kind::Items)?;
        let find = || {
            let snapshot = database.snapshot();
            let upto = self.upto(&database, &snapshot, Kind::Items)?;
            let place = database.get(&snapshot, Space::Items, id)?;
            let place = place.map(|bytes| decode_place(&bytes)).transpose()?;
            Ok(Found { place, upto })
        };
        self.noted(find())
    }

    /// The blocks from one height up to another that carry, for each list of tags, one of them. A block may be told of
    /// that does not, hardly ever; none is left out. No lists at all: every block.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn search(&self, wanted: &[Vec<Vec<u8>>], from: Height, to: Height) -> Result<Search<L>, IndexError> {
        let database = self.kept(Kind::Tags)?;
        let snapshot = database.snapshot();
        let upto = self.noted(self.upto(&database, &snapshot, Kind::Tags))?;
        let hashes = |tags: &Vec<Vec<u8>>| tags.iter().map(|tag| postings::hash_of(tag)).collect::<Vec<_>>();
        Ok(Search {
            wanted: wanted.iter().map(hashes).collect(),
            database,
            snapshot,
            upto,
            segment: postings::segment_of(from.0),
            heights: (from.0, to.0),
        })
    }

    /// The chain as it stood after a block of it, read from the index. Costs a search per row that is read.
    ///
    /// # Errors
    /// [`IndexError`]; [`IndexError::TooOld`] where the state is not kept any more.
    pub fn view(&self, at: &Headers<L>) -> Result<View<L>, IndexError> {
        let database = self.kept(Kind::History)?;
        for _ in 0..ATTEMPTS {
            match self.noted(self.try_view(&database, at)) {
                // The head may have moved to another branch in between.
                Err(IndexError::NotInChain) if self.published.is_active(at) => {}
                answer => return answer,
            }
        }
        Err(IndexError::NotInChain)
    }

    fn try_view(&self, database: &Arc<Database>, at: &Headers<L>) -> Result<View<L>, IndexError> {
        let snapshot = database.snapshot();
        let upto = self.upto(database, &snapshot, Kind::History)?;
        let oldest = floor_at(database, &snapshot)?;
        if at.height() < oldest {
            return Err(IndexError::TooOld { asked: at.height(), oldest });
        }
        let head = self.published.head().headers;
        // Rows that no block of the index's branch has changed since stand where that branch leaves the chain.
        let base = upto.fork_point(&head);
        let behind = || IndexError::Behind { kind: Kind::History, at: base.height(), head: head.height() };
        if !base.contains(at) {
            return Err(if head.contains(at) { behind() } else { IndexError::NotInChain });
        }
        let base = self.published.sealed_view(&base, BEHIND_MAX).map_err(|error| match error {
            PastError::NotInChain => IndexError::NotInChain,
            PastError::TooOld { .. } => behind(),
            PastError::Fault(fault) => IndexError::Chain(fault),
        })?;
        let tables = base.state.tables();
        let rows = HistoryRows::new(Arc::clone(database), snapshot, base.state, at.height());
        let state = StateView::new(tables, Arc::new(rows), Timeline::new().pin());
        Ok(self.published.amended(View { headers: at.clone(), state }))
    }

    /// The lowest block whose state is kept.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn oldest_state(&self) -> Result<Height, IndexError> {
        let database = self.kept(Kind::History)?;
        self.noted(floor_at(&database, &database.snapshot()).map_err(IndexError::from))
    }
}

fn show<L: Ledger>(id: &BlockId) -> String {
    L::show_id(&id.0)
}

pub(crate) fn cursor_at(
    database: &Database,
    at: &Snapshot,
    kind: Kind,
) -> Result<Option<Cursor>, IndexError> {
    let bytes = database.get(at, Space::Marks, kind.name().as_bytes())?;
    Ok(bytes.map(|bytes| decode_cursor(&bytes)).transpose()?)
}

/// Under which key the lowest height is written whose state is kept.
pub(crate) const FLOOR: &[u8] = b"oldest state";

pub(crate) fn floor_at(database: &Database, at: &Snapshot) -> Result<Height, Trouble> {
    let Some(bytes) = database.get(at, Space::Marks, FLOOR)? else { return Ok(Height::GENESIS) };
    let wrong = || Trouble::Damaged("the oldest state makes no sense".to_owned());
    Ok(Height(u32::from_be_bytes((*bytes).try_into().map_err(|_| wrong())?)))
}

/// height 4 │ position 4
pub(crate) fn encode_place(height: Height, position: u32) -> Vec<u8> {
    [height.0.to_be_bytes(), position.to_be_bytes()].concat()
}

pub(crate) fn decode_place(bytes: &[u8]) -> Result<(Height, u32), Trouble> {
    let parts = bytes.as_chunks::<4>();
    match parts {
        ([height, position], []) => Ok((Height(u32::from_be_bytes(*height)), u32::from_be_bytes(*position))),
        _ => Err(Trouble::Damaged("an item's place makes no sense".to_owned())),
    }
}

/// A search, a part at a time, so that whoever searches can stop.
pub struct Search<L: Ledger> {
    /// One of each list.
    wanted: Vec<Vec<u64>>,
    database: Arc<Database>,
    snapshot: Snapshot,
    upto: Headers<L>,
    segment: u32,
    heights: (u32, u32),
}

impl<L: Ledger> Search<L> {
    /// The last block the index knows. The chain may have left it behind: only what it shares with the head counts.
    pub const fn upto(&self) -> &Headers<L> {
        &self.upto
    }

    /// The next blocks, ascending; maybe none. `None` when all have been told.
    ///
    /// # Errors
    /// [`IndexError`].
    pub fn next_part(&mut self) -> Result<Option<Vec<Height>>, IndexError> {
        let (from, to) = (self.heights.0, self.heights.1.min(self.upto.height().0));
        if from > to || self.segment > postings::segment_of(to) {
            return Ok(None);
        }
        let mut left = Blocks::within(self.segment, from, to);
        for tags in &self.wanted {
            let mut any = Blocks::NONE;
            for hash in tags {
                let key = postings::key(*hash, self.segment);
                if let Some(bytes) = self.database.get(&self.snapshot, Space::Tags, &key)? {
                    any.add(&Blocks::decode(&bytes)?);
                }
            }
            left.keep(&any);
            if left.is_empty() {
                break;
            }
        }
        let first = self.segment * postings::SEGMENT_BLOCKS;
        let heights = left.offsets().map(|offset| Height(first + offset)).collect();
        self.segment += 1;
        Ok(Some(heights))
    }
}
