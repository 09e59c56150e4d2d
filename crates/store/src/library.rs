//! Blocks and steps by block id: what the logs of bodies and of the journal hold, and where.
//!
//! ```text
//! bodies    head: id 32 │ height 4                                body: the encoded block
//! journal   head: number of the first step 8 │ per step: from 32 │ to 32 │ forth 1 │ delta 4 │ receipts 4 │ crc 4
//!           body: delta │ receipts │ delta │ receipts │ …
//! ```

use std::collections::BTreeMap;

use bytes::Bytes;
use chainwright_chain::{
    BlockId, Bodies, Connected, Delta, Fault, Height, Step, TableId, TableKind, TableSpec,
};
use hashbrown::HashMap;
use parking_lot::{Mutex, RwLock};

use crate::log::{Entry, Log, Position, Span};
use crate::marks::{JOURNAL, Mark, Marks};

const STEP_BYTES: usize = 77;

/// Where the journal holds a step, and which one it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JournalStep {
    pub(crate) from: BlockId,
    pub(crate) to: BlockId,
    /// Whether a block is connected, rather than undone.
    pub(crate) forth: bool,
    pub(crate) delta_len: u32,
    /// Delta and receipts, one behind the other.
    pub(crate) span: Span,
}

/// What is where. Kept in memory, rebuilt at open from the heads of the records.
#[derive(Default)]
pub(crate) struct Catalogue {
    pub(crate) bodies: HashMap<BlockId, Span>,
    pub(crate) connected: HashMap<BlockId, JournalStep>,
    /// The number of the first step in each segment of the journal.
    pub(crate) first_steps: BTreeMap<u32, u64>,
}

/// Bodies and deltas for readers.
pub(crate) struct Library {
    pub(crate) tables: &'static [TableSpec],
    pub(crate) bodies: Log,
    pub(crate) journal: Log,
    pub(crate) catalogue: RwLock<Catalogue>,
    /// Kept, because asking the system for a megabyte per block is slow.
    pub(crate) scratch: Mutex<Vec<u8>>,
}

impl Library {
    /// Keeps a block; one that is stored already is not written again.
    pub(crate) fn put_body(&self, id: BlockId, height: Height, bytes: &[u8]) -> Result<(), Fault> {
        if self.has_body(&id) {
            return Ok(());
        }
        let mut head = Vec::with_capacity(36);
        head.extend_from_slice(&id.0);
        head.extend_from_slice(&height.0.to_le_bytes());
        let span = self.bodies.append(&head, bytes)?;
        self.catalogue.write().bodies.insert(id, span);
        Ok(())
    }

    /// Lets another copy of a block take the place of one that is damaged. A later record of the same block counts when the
    /// log is opened.
    pub(crate) fn forget_body(&self, id: &BlockId) {
        self.catalogue.write().bodies.remove(id);
    }

    /// Writes a group of steps of which the first has the number `first`.
    pub(crate) fn put_steps(&self, first: u64, steps: &[Step]) -> Result<(), Fault> {
        let mut listed = self.describe(steps);
        let mut body = self.scratch.lock();
        body.clear();
        for (step, listed) in steps.iter().zip(&mut listed) {
            let start = body.len();
            step.delta.encode(&mut body);
            listed.delta_len = (body.len() - start) as u32;
            body.extend_from_slice(&step.receipts);
            let part = &body[start..];
            listed.span.at.offset = start as u32;
            (listed.span.len, listed.span.crc) = (part.len() as u32, crc32c::crc32c(part));
        }
        let written = self.journal.append(&encode_head(first, &listed), &body)?;
        let mut catalogue = self.catalogue.write();
        catalogue.first_steps.entry(written.at.segment).or_insert(first);
        for mut step in listed {
            step.span.at = Position { offset: step.span.at.offset + written.at.offset, ..written.at };
            catalogue.add(step);
        }
        Ok(())
    }

    /// Removes the oldest segments of the journal that hold nothing but steps up to `last`.
    pub(crate) fn forget_steps(&self, last: u64, marks: &Marks) -> Result<(), Fault> {
        let keep = {
            let catalogue = self.catalogue.read();
            let starts = catalogue.first_steps.iter();
            starts.rev().find(|&(_, &first)| first <= last + 1).map(|(&segment, _)| segment)
        };
        let oldest = self.catalogue.read().first_steps.first_key_value().map(|(&segment, _)| segment);
        let Some(keep) = keep.filter(|keep| oldest.is_some_and(|oldest| oldest < *keep)) else {
            return Ok(());
        };
        let mark = self.journal.sync()?;
        marks.set_first_segment(JOURNAL, Mark { first_segment: Some(keep), ..mark })?;
        {
            let mut catalogue = self.catalogue.write();
            catalogue.connected.retain(|_, step| step.span.at.segment >= keep);
            catalogue.first_steps.retain(|&segment, _| segment >= keep);
        }
        Ok(self.journal.remove_before(keep)?)
    }

    /// Tells steps that connect a block from steps that undo one: the latter leave a block for the one it came from.
    fn describe(&self, steps: &[Step]) -> Vec<JournalStep> {
        let catalogue = self.catalogue.read();
        let mut parents: HashMap<BlockId, BlockId> = HashMap::new();
        let mut listed = Vec::with_capacity(steps.len());
        for Step { from, to, .. } in steps {
            let known = || catalogue.connected.get(from).map(|step| step.from);
            let forth = parents.get(from).copied().or_else(known) != Some(*to);
            if forth {
                parents.insert(*to, *from);
            }
            let span = Span { at: Position::default(), len: 0, crc: 0 };
            listed.push(JournalStep { from: *from, to: *to, forth, delta_len: 0, span });
        }
        listed
    }

    /// Reads a step of the journal.
    pub(crate) fn read_step(&self, step: &JournalStep) -> Result<Connected, Fault> {
        let (delta, receipts) = self.read_parts(step)?;
        let delta = Delta::decode(&delta, |table| is_ordered(self.tables, table))
            .map_err(|error| Fault::new(format!("a step of the journal is unreadable: {error}")))?;
        Ok(Connected { parent: step.from, delta, receipts })
    }

    /// Encoded delta and receipts of a step.
    fn read_parts(&self, step: &JournalStep) -> Result<(Bytes, Bytes), Fault> {
        let mut bytes = Bytes::from(self.journal.read(step.span)?);
        let split = step.delta_len as usize;
        if split > bytes.len() {
            return Err(Fault::new("a step of the journal is shorter than its delta"));
        }
        let receipts = bytes.split_off(split);
        Ok((bytes, receipts))
    }
}

impl Bodies for Library {
    fn body(&self, id: &BlockId) -> Result<Option<Bytes>, Fault> {
        let span = self.catalogue.read().bodies.get(id).copied();
        span.map(|span| self.bodies.read(span).map(Bytes::from)).transpose()
    }

    fn has_body(&self, id: &BlockId) -> bool {
        self.catalogue.read().bodies.contains_key(id)
    }

    fn connected(&self, id: &BlockId) -> Result<Option<Connected>, Fault> {
        let step = self.catalogue.read().connected.get(id).copied();
        step.map(|step| self.read_step(&step)).transpose()
    }

    fn receipts(&self, id: &BlockId) -> Result<Option<Bytes>, Fault> {
        let step = self.catalogue.read().connected.get(id).copied();
        step.map(|step| Ok(self.read_parts(&step)?.1)).transpose()
    }
}

impl Catalogue {
    fn add(&mut self, step: JournalStep) {
        if step.forth {
            self.connected.insert(step.to, step);
        }
    }

    /// Takes note of a stored block while the log of bodies is opened.
    pub(crate) fn visit_body(&mut self, entry: &Entry<'_>) -> Result<(), String> {
        let id = entry.head.first_chunk::<32>().filter(|_| entry.head.len() == 36);
        let id = id.ok_or("a block's record has no id")?;
        self.bodies.insert(BlockId(*id), entry.body);
        Ok(())
    }

    /// Takes note of a group of steps while the journal is opened.
    pub(crate) fn visit_group(&mut self, entry: &Entry<'_>) -> Result<Group, String> {
        let group = decode_head(entry).ok_or("a group of steps does not add up")?;
        self.first_steps.entry(entry.body.at.segment).or_insert(group.first);
        for step in &group.steps {
            self.add(*step);
        }
        Ok(group)
    }
}

/// A record of the journal.
pub(crate) struct Group {
    /// The number of its first step; the first ever is 1.
    pub(crate) first: u64,
    pub(crate) steps: Vec<JournalStep>,
}

pub(crate) fn is_ordered(tables: &[TableSpec], table: TableId) -> bool {
    tables.get(usize::from(table.0)).is_some_and(|spec| spec.kind == TableKind::Ordered)
}

fn encode_head(first: u64, steps: &[JournalStep]) -> Vec<u8> {
    let mut head = Vec::with_capacity(8 + steps.len() * STEP_BYTES);
    head.extend_from_slice(&first.to_le_bytes());
    for step in steps {
        head.extend_from_slice(&step.from.0);
        head.extend_from_slice(&step.to.0);
        head.push(u8::from(step.forth));
        head.extend_from_slice(&step.delta_len.to_le_bytes());
        head.extend_from_slice(&(step.span.len - step.delta_len).to_le_bytes());
        head.extend_from_slice(&step.span.crc.to_le_bytes());
    }
    head
}

fn decode_head(entry: &Entry<'_>) -> Option<Group> {
    let (first, rest) = entry.head.split_first_chunk::<8>()?;
    let mut at = entry.body.at;
    let mut steps = Vec::with_capacity(rest.len() / STEP_BYTES);
    for bytes in rest.chunks(STEP_BYTES) {
        let id = |at: usize| Some(BlockId(*bytes.get(at..)?.first_chunk::<32>()?));
        let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk::<4>()?));
        let (delta_len, receipts_len) = (word(65)?, word(69)?);
        let span = Span { at, len: delta_len.checked_add(receipts_len)?, crc: word(73)? };
        at.offset = at.offset.checked_add(span.len)?;
        steps.push(JournalStep { from: id(0)?, to: id(32)?, forth: bytes[64] == 1, delta_len, span });
    }
    (at.offset - entry.body.at.offset == entry.body.len && !steps.is_empty())
        .then_some(Group { first: u64::from_le_bytes(*first), steps })
}
