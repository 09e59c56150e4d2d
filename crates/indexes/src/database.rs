//! One database of ordered tables on disk, and batches that see their own writes.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use chainwright_chain::{BlockId, Cursor, Height};
use fjall::{Database as Fjall, Error, Keyspace, KeyspaceCreateOptions, LsmError, Readable as _, Snapshot};
use hashbrown::HashMap;

/// Memory for blocks that were read, of all tables together, in bytes.
const CACHE_BYTES: u64 = 16 << 20;
/// Memory for rows that are not in files yet, of each table, in bytes.
const MEMTABLE_BYTES: u64 = 8 << 20;
/// Files with rows that are not in tables yet, in bytes; the least there can be.
const JOURNAL_BYTES: u64 = 64 << 20;
/// Threads for flushes and compactions.
const THREADS: usize = 1;

/// A table of the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Space {
    /// How far each index has come, and whose it is.
    Marks,
    /// Ids of items.
    Items,
    /// Which blocks carry a tag.
    Tags,
    /// Old values of rows.
    History,
}

impl Space {
    pub(crate) const ALL: [Self; 4] = [Self::Marks, Self::Items, Self::Tags, Self::History];

    const fn name(self) -> &'static str {
        match self {
            Self::Marks => "marks",
            Self::Items => "items",
            Self::Tags => "tags",
            Self::History => "history",
        }
    }
}

/// Why the database did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// What lies on disk is not what was written: it has to be built again.
    Damaged(String),
    /// The disk fails, is full, or is in use: trying again later may help.
    Disk(String),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        let io = match &error {
            Error::Io(io) | Error::Storage(LsmError::Io(io)) => Some(io.kind()),
            Error::Poisoned | Error::Locked => return Self::Disk(error.to_string()),
            _ => None,
        };
        match io {
            Some(kind) if !tells_of_damage(kind) => Self::Disk(error.to_string()),
            _ => Self::Damaged(error.to_string()),
        }
    }
}

/// Whether an error is about which files there are and what they hold, not about the disk's doing its work.
fn tells_of_damage(kind: ErrorKind) -> bool {
    use ErrorKind::{AlreadyExists, DirectoryNotEmpty, InvalidData, InvalidInput, IsADirectory};
    use ErrorKind::{NotADirectory, NotFound, UnexpectedEof};
    matches!(kind, AlreadyExists | DirectoryNotEmpty | InvalidData | InvalidInput | IsADirectory)
        || matches!(kind, NotADirectory | NotFound | UnexpectedEof)
}

/// An open database. Its folder goes with it once it is doomed.
pub(crate) struct Database {
    /// `None` only while it is being dropped.
    inner: Option<(Fjall, [Keyspace; 4])>,
    folder: PathBuf,
    is_doomed: AtomicBool,
}

impl Database {
    /// Opens what is in a folder, or an empty database in a new one.
    pub(crate) fn open(folder: &Path) -> Result<Self, Trouble> {
        let open = || -> Result<_, Error> {
            let database = Fjall::builder(folder)
                .cache_size(CACHE_BYTES)
                .max_journaling_size(JOURNAL_BYTES)
                .worker_threads(THREADS)
                .open()?;
            let table = |space: Space| {
                let options = || KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES);
                database.keyspace(space.name(), options)
            };
            let [marks, items, tags, history] = Space::ALL;
            let spaces = [table(marks)?, table(items)?, table(tags)?, table(history)?];
            Ok((database, spaces))
        };
        // The library asserts a good deal of what it reads.
        let opened = std::panic::catch_unwind(std::panic::AssertUnwindSafe(open));
        let opened = opened.map_err(|_| Trouble::Damaged("its files make no sense".to_owned()))?;
        Ok(Self { inner: Some(opened?), folder: folder.to_path_buf(), is_doomed: AtomicBool::new(false) })
    }

    fn inner(&self) -> &(Fjall, [Keyspace; 4]) {
        self.inner.as_ref().expect("it is there until it is dropped")
    }

    fn space(&self, space: Space) -> &Keyspace {
        &self.inner().1[space as usize]
    }

    /// The folder is removed when nobody reads any more.
    pub(crate) fn doom(&self) {
        self.is_doomed.store(true, Ordering::Relaxed);
    }

    /// All tables as they stand now.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.inner().0.snapshot()
    }

    /// The value of a row in a snapshot.
    pub(crate) fn get(
        &self,
        at: &Snapshot,
        space: Space,
        key: &[u8],
    ) -> Result<Option<fjall::Slice>, Trouble> {
        Ok(at.get(self.space(space), key)?)
    }

    /// Rows with `from <= key < to` in a snapshot, in order.
    pub(crate) fn range(
        &self,
        at: &Snapshot,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> impl Iterator<Item = Result<(fjall::Slice, fjall::Slice), Trouble>> + use<> {
        at.range(self.space(space), from..to).map(|row| Ok(row.into_inner()?))
    }

    /// Removes all rows of a table but the one with this key. A crash may take that one, too.
    pub(crate) fn clear(&self, space: Space, kept: &[u8]) -> Result<(), Trouble> {
        let value = self.get(&self.snapshot(), space, kept)?;
        self.space(space).clear()?;
        let mut batch = Batch::new(self);
        batch.set(space, kept.to_vec(), value.map(|value| value.to_vec()));
        batch.commit()
    }

    /// Whether no table has any row.
    pub(crate) fn is_empty(&self) -> Result<bool, Trouble> {
        let snapshot = self.snapshot();
        for space in Space::ALL {
            if !snapshot.is_empty(self.space(space))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Everything written so far survives a power cut.
    pub(crate) fn sync(&self) -> Result<(), Trouble> {
        Ok(self.inner().0.persist(fjall::PersistMode::SyncAll)?)
    }

    /// Bytes of all tables' files.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.inner().1.iter().map(Keyspace::disk_space).sum()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        self.inner = None;
        if *self.is_doomed.get_mut() {
            // What is left over is removed at the next start.
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }
}

/// Writes that become visible together, and only then.
pub(crate) struct Batch<'d> {
    database: &'d Database,
    before: Snapshot,
    writes: [HashMap<Vec<u8>, Option<Vec<u8>>>; 4],
    bytes: usize,
}

impl<'d> Batch<'d> {
    pub(crate) fn new(database: &'d Database) -> Self {
        let writes = std::array::from_fn(|_| HashMap::new());
        Self { database, before: database.snapshot(), writes, bytes: 0 }
    }

    /// About how many bytes wait.
    pub(crate) const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The value of a row, writes of this batch included.
    pub(crate) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Vec<u8>>, Trouble> {
        if let Some(written) = self.writes[space as usize].get(key) {
            return Ok(written.clone());
        }
        Ok(self.database.get(&self.before, space, key)?.map(|value| value.to_vec()))
    }

    /// Sets a row, or removes it.
    pub(crate) fn set(&mut self, space: Space, key: Vec<u8>, value: Option<Vec<u8>>) {
        self.bytes += key.len() + value.as_ref().map_or(0, Vec::len);
        self.writes[space as usize].insert(key, value);
    }

    /// Writes everything, all or nothing. It has reached the operating system when this returns.
    pub(crate) fn commit(self) -> Result<(), Trouble> {
        let mut batch = self.database.inner().0.batch();
        for (space, writes) in Space::ALL.into_iter().zip(self.writes) {
            let table = self.database.space(space);
            for (key, value) in writes {
                match value {
                    Some(value) => batch.insert(table, key, value),
                    None => batch.remove(table, key),
                }
            }
        }
        Ok(batch.commit()?)
    }
}

/// height 4 │ id 32
pub(crate) fn encode_cursor(cursor: &Cursor) -> Vec<u8> {
    let mut bytes = cursor.height.0.to_be_bytes().to_vec();
    bytes.extend_from_slice(&cursor.id.0);
    bytes
}

/// What [`encode_cursor`] wrote.
pub(crate) fn decode_cursor(bytes: &[u8]) -> Result<Cursor, Trouble> {
    let parts = bytes.split_first_chunk::<4>().and_then(|(height, id)| Some((height, id.try_into().ok()?)));
    let (height, id) = parts.ok_or_else(|| Trouble::Damaged("a cursor makes no sense".to_owned()))?;
    Ok(Cursor { height: Height(u32::from_be_bytes(*height)), id: BlockId(id) })
}
