//! The files `index-*`: which rows are on disk, where, and after which step.
//!
//! ```text
//! checkpoint   BEGIN (segments) │ SLOTS per shard … │ ORDERED rows … │ END        in a new segment of the log
//! commit       head: kind 1 │ step 8 │ tail 8 │ moves 4 │ per value file: number 4, rows added 4, end 4
//!              body: moves 20 each │ ordered rows
//! ```
//!
//! What lies before the last complete checkpoint is removed. An incomplete one is passed over.

use std::collections::BTreeMap;
use std::sync::Arc;

use chainwright_chain::Fault;

use super::Table;
use super::moves::Moves;
use super::ordered::{self, Ordered, OrderedChange};
use super::place::{Move, Place, Slot};
use super::values::{Added, Values};
use crate::disk::Disk;
use crate::error::{HINT_REBUILD, OpenError};
use crate::log::{Entry, Log, LogOptions, Span};
use crate::marks::{INDEX, Mark, Marks};

const COMMIT: u8 = 1;
const BEGIN: u8 = 2;
const SLOTS: u8 = 3;
const ORDERED: u8 = 4;
const END: u8 = 5;
const HEAD_BYTES: usize = 21;
const ADDED_BYTES: usize = 12;
/// Ordered rows are written in pieces of about this size.
const ORDERED_BYTES: usize = 1 << 20;

/// Records are longer than this, in bytes: it is enough to tell them apart.
const GRAIN: u32 = 8;

/// What one file of the value log holds.
#[derive(Debug, Default)]
pub(crate) struct Use {
    /// Rows ever written to it.
    pub(crate) rows: u32,
    /// Rows the index still points to.
    pub(crate) live: u32,
    /// Where the file ends.
    pub(crate) end: u32,
    /// One bit per [`GRAIN`] of the file: whether a row the index points to begins there. Compaction need not look up
    /// rows that are gone.
    bits: Vec<u64>,
}

impl Use {
    /// Whether the index points to the row that begins here.
    pub(crate) fn is_live(&self, offset: u32) -> bool {
        let at = (offset / GRAIN) as usize;
        self.bits.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
    }

    /// Changes what [`Use::is_live`] says; `None` if it says so already.
    fn set_live(&mut self, offset: u32, live: bool) -> Option<()> {
        let at = (offset / GRAIN) as usize;
        if self.bits.len() <= at / 64 {
            self.bits.resize((at.max((self.end / GRAIN) as usize)) / 64 + 1, 0);
        }
        let (word, bit) = (&mut self.bits[at / 64], 1 << (at % 64));
        let before = *word & bit != 0;
        *word ^= bit;
        self.live = if live { self.live + 1 } else { self.live.checked_sub(1)? };
        (before != live).then_some(())
    }
}

/// The head of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Head {
    kind: u8,
    step: u64,
    tail: Place,
    moves: u32,
    added: BTreeMap<u32, Added>,
}

/// One change of what is on disk.
pub(super) struct Commit<'a> {
    pub(super) step: u64,
    pub(super) tail: Place,
    pub(super) moves: &'a Moves,
    pub(super) added: &'a BTreeMap<u32, Added>,
}

/// The durable side of the rows, owned by whoever does maintenance.
pub(crate) struct Index {
    log: Log,
    /// The last complete checkpoint and everything since.
    pieces: Vec<(Head, Span)>,
    /// The rows on disk stand after this step of the journal.
    pub(crate) step: u64,
    /// Where the value log ends.
    pub(super) tail: Place,
    pub(super) uses: BTreeMap<u32, Use>,
    /// Bytes of commits since the last checkpoint.
    written: u64,
}

impl Index {
    /// Opens the log and fills the table with what is on disk.
    pub(crate) fn open(
        disk: &Arc<dyn Disk>,
        segment_bytes: u64,
        marks: &Marks,
        table: &Table,
    ) -> Result<Self, OpenError> {
        let failed = |error| OpenError::Disk { place: disk.place(), error };
        let names = disk.list().map_err(failed)?;
        if marks.get(INDEX).synced.is_some() && !names.iter().any(|name| name.starts_with("index-")) {
            tracing::warn!(
                place = disk.place(),
                "the files index-* are gone: rebuilding the state from the journal"
            );
            marks.reset(INDEX).map_err(failed)?;
        }
        let mark = marks.get(INDEX);
        let options = LogOptions { name: "index", segment_bytes, hint: HINT_REBUILD };
        let mut pieces = Vec::new();
        let visit = &mut |entry: &Entry<'_>| {
            pieces.push((Head::decode(entry.head).ok_or("unreadable")?, entry.body));
            Ok(())
        };
        let log = Log::open(Arc::clone(disk), options, mark, visit)?;
        let pieces = since_checkpoint(pieces);
        let (step, tail, uses) = (0, Place::default(), BTreeMap::new());
        let mut index = Self { log, pieces: Vec::new(), step, tail, uses, written: 0 };
        for (head, span) in pieces {
            let name = index.log.file_name(span.at.segment);
            let damaged = |what: String| OpenError::Damaged {
                place: disk.place(),
                file: name.clone(),
                offset: u64::from(span.at.offset),
                what,
                hint: HINT_REBUILD,
            };
            let body = index.log.read(span).map_err(|_| damaged("the checksum does not match".into()))?;
            index
                .load(&head, &body, table)
                .ok_or_else(|| damaged("it does not fit what is before".into()))?;
            index.remember(head, span);
        }
        index.open_values(disk.as_ref(), &table.values)?;
        Ok(index)
    }

    /// Takes one record into the table.
    fn load(&mut self, head: &Head, body: &[u8], table: &Table) -> Option<()> {
        for (&number, added) in &head.added {
            let entry = self.uses.entry(number).or_default();
            entry.rows += added.rows;
            entry.end = added.end;
        }
        let (moves, ordered) = body.split_at_checked(head.moves as usize * head.move_bytes())?;
        if head.kind == SLOTS {
            let mut slots = moves.chunks_exact(Slot::BYTES).map(Slot::decode).peekable();
            if let Some(first) = slots.peek() {
                table.shard((*first)?.tag()).write().reserve_slots(head.moves as usize);
            }
            for slot in slots {
                let slot = slot?;
                let place = slot.place()?;
                self.uses.get_mut(&place.segment)?.set_live(place.offset, true)?;
                table.shard(slot.tag()).write().add_slot(slot);
            }
        } else {
            for change in moves.chunks_exact(Move::BYTES).map(Move::decode) {
                let change = change?;
                table.shard(change.tag).write().load(change).then_some(())?;
                self.count(change)?;
            }
        }
        (self.step, self.tail) = (head.step, head.tail);
        let mut rows = table.ordered.write();
        ordered::decode(ordered, |table, key, value| rows.load(table, key, value))
    }

    fn count(&mut self, change: Move) -> Option<()> {
        if let Some(old) = change.old {
            self.uses.get_mut(&old.segment)?.set_live(old.offset, false)?;
        }
        if let Some(new) = change.new {
            self.uses.get_mut(&new.segment)?.set_live(new.offset, true)?;
        }
        Some(())
    }

    fn remember(&mut self, head: Head, span: Span) {
        if head.kind == COMMIT {
            self.written += u64::from(span.len);
        }
        self.pieces.push((head, span));
    }

    /// Opens the value files that hold rows and removes the others.
    fn open_values(&mut self, disk: &dyn Disk, values: &Values) -> Result<(), OpenError> {
        let failed = |error| OpenError::Disk { place: disk.place(), error };
        let tail = self.tail;
        self.uses.retain(|&number, entry| entry.live > 0 || (number == tail.segment && entry.end > 0));
        let names = disk.list().map_err(failed)?;
        let numbers: Vec<u32> = names.iter().filter_map(|name| Values::file_number(name)).collect();
        for &number in numbers.iter().filter(|number| !self.uses.contains_key(number)) {
            values.remove(number).map_err(failed)?;
        }
        for (&number, entry) in &self.uses {
            let len = if numbers.contains(&number) {
                values.attach(number, false).and_then(|file| file.len()).map_err(failed)?
            } else {
                0
            };
            if len < u64::from(entry.end) {
                return Err(OpenError::Damaged {
                    place: disk.place(),
                    file: Values::file_name(number),
                    offset: len,
                    what: format!("the file should be {} bytes long", entry.end),
                    hint: HINT_REBUILD,
                });
            }
        }
        Ok(())
    }

    /// Writes and syncs a change. The table is told by the caller, afterwards.
    ///
    /// # Errors
    /// A [`Fault`]. If [`Index::is_usable`] still holds the change is not on disk, else nobody knows.
    pub(super) fn commit(&mut self, commit: &Commit<'_>, marks: &Marks) -> Result<(), Fault> {
        let (step, tail, added) = (commit.step, commit.tail, commit.added.clone());
        let head = Head { kind: COMMIT, step, tail, moves: commit.moves.len() as u32, added };
        let span = self.log.append(&head.encode(), commit.moves.body())?;
        self.sync(marks)?;
        for (&number, added) in commit.added {
            let entry = self.uses.entry(number).or_default();
            entry.rows += added.rows;
            entry.end = added.end;
        }
        let counted = commit.moves.all().try_for_each(|change| self.count(change));
        debug_assert!(counted.is_some(), "every move starts at a row of the index");
        (self.step, self.tail) = (step, tail);
        self.remember(head, span);
        Ok(())
    }

    /// Whether a failed commit left nothing behind.
    pub(super) fn is_usable(&self) -> bool {
        !self.log.has_failed()
    }

    fn sync(&self, marks: &Marks) -> Result<Mark, Fault> {
        let mark = self.log.sync()?;
        marks.advise(INDEX, mark);
        Ok(mark)
    }

    /// Whether reading the commits at the next start takes longer than reading a checkpoint.
    pub(crate) fn checkpoint_is_due(&self, bytes_min: u64) -> bool {
        let live: u64 = self.uses.values().map(|entry| u64::from(entry.live)).sum();
        self.written > bytes_min.max(live * Slot::BYTES as u64)
    }

    /// Writes everything anew and removes what came before.
    pub(crate) fn checkpoint(&mut self, table: &Table, marks: &Marks) -> Result<(), Fault> {
        let rows = self.ordered_rows(table)?;
        let segment = self.log.begin_segment()?;
        let mut pieces = Vec::new();
        self.put(&mut pieces, BEGIN, (0, &[]))?;
        let mut body = Vec::new();
        for shard in &table.shards {
            body.clear();
            shard.read().on_disk().for_each(|slot| slot.encode(&mut body));
            if !body.is_empty() {
                self.put(&mut pieces, SLOTS, (body.len() / Slot::BYTES, &body))?;
            }
        }
        for rows in rows.chunks(ORDERED_BYTES / size_of::<OrderedChange>()) {
            body.clear();
            ordered::encode(rows, &mut body);
            self.put(&mut pieces, ORDERED, (0, &body))?;
        }
        self.put(&mut pieces, END, (0, &[]))?;
        let mark = self.sync(marks)?;
        (self.pieces, self.written) = (pieces, 0);
        marks.set_first_segment(INDEX, Mark { first_segment: Some(segment), ..mark })?;
        Ok(self.log.remove_before(segment)?)
    }

    fn put(&self, pieces: &mut Vec<(Head, Span)>, kind: u8, body: (usize, &[u8])) -> Result<(), Fault> {
        let added = self.uses.iter().filter(|_| kind == BEGIN);
        let added = added.map(|(&number, entry)| (number, Added { rows: entry.rows, end: entry.end }));
        let (step, tail) = (self.step, self.tail);
        let head = Head { kind, step, tail, moves: body.0 as u32, added: added.collect() };
        let span = self.log.append(&head.encode(), body.1)?;
        pieces.push((head, span));
        Ok(())
    }

    /// The ordered rows as they stand on disk: those in memory have moved on.
    fn ordered_rows(&self, table: &Table) -> Result<Vec<OrderedChange>, Fault> {
        let mut rows = Ordered::new(table.tables.len());
        for (head, span) in &self.pieces {
            let skipped = head.moves as usize * head.move_bytes();
            if span.len as usize > skipped {
                let body = self.log.read(*span)?;
                ordered::decode(&body[skipped..], |table, key, value| rows.load(table, key, value))
                    .ok_or_else(|| Fault::new("the index holds an unreadable row"))?;
            }
        }
        Ok(rows.all())
    }
}

/// Drops everything before the last complete checkpoint, and incomplete ones.
fn since_checkpoint(pieces: Vec<(Head, Span)>) -> Vec<(Head, Span)> {
    let mut kept = Vec::new();
    let mut open: Option<Vec<(Head, Span)>> = None;
    for piece in pieces {
        match piece.0.kind {
            BEGIN => open = Some(vec![piece]),
            END => kept = open.take().unwrap_or_default(),
            COMMIT => {
                open = None;
                kept.push(piece);
            }
            _ => open.iter_mut().for_each(|open| open.push((piece.0.clone(), piece.1))),
        }
    }
    kept
}

impl Head {
    fn move_bytes(&self) -> usize {
        if self.kind == SLOTS { Slot::BYTES } else { Move::BYTES }
    }

    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD_BYTES + self.added.len() * ADDED_BYTES);
        bytes.push(self.kind);
        bytes.extend_from_slice(&self.step.to_le_bytes());
        for word in [self.tail.segment, self.tail.offset, self.moves] {
            bytes.extend_from_slice(&word.to_le_bytes());
        }
        for (number, added) in &self.added {
            for word in [*number, added.rows, added.end] {
                bytes.extend_from_slice(&word.to_le_bytes());
            }
        }
        bytes
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_first_chunk::<HEAD_BYTES>()?;
        let word = |bytes: &[u8], at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk::<4>()?));
        let mut added = BTreeMap::new();
        for bytes in rest.chunks(ADDED_BYTES) {
            added.insert(word(bytes, 0)?, Added { rows: word(bytes, 4)?, end: word(bytes, 8)? });
        }
        Some(Self {
            kind: fixed[0],
            step: u64::from_le_bytes(*fixed[1..].first_chunk::<8>()?),
            tail: Place { segment: word(fixed, 9)?, offset: word(fixed, 13)? },
            moves: word(fixed, 17)?,
            added,
        })
    }
}
