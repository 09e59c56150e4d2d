//! Giving back the space of removed rows: the live rows of one file are appended to the log, then the file is removed.

use std::io;
use std::sync::Arc;

use chainwright_chain::Fault;

use super::index::Commit;
use super::moves::Moves;
use super::place::{Move, Place};
use super::values::{self, ValueWriter};
use super::{Index, SHARDS, Table};
use crate::disk::DiskFile;
use crate::marks::Marks;

const CHUNK_BYTES: usize = 1 << 20;

impl Index {
    /// The file of which the smallest part is alive, if that is less than half.
    pub(crate) fn compaction_candidate(&self) -> Option<u32> {
        let closed = self.uses.iter().filter(|&(&number, _)| number != self.tail.segment);
        let sparse = closed.filter(|(_, entry)| u64::from(entry.live) * 2 < u64::from(entry.rows));
        let sparsest = sparse.min_by_key(|(_, entry)| u64::from(entry.live) * 1000 / u64::from(entry.rows));
        sparsest.map(|(&number, _)| number)
    }
}

impl Table {
    /// Moves the live rows of a file to the end of the log and removes the file.
    ///
    /// # Errors
    /// A [`Fault`]; the file is then still in use.
    pub(crate) fn compact(&self, index: &mut Index, number: u32, marks: &Marks) -> Result<(), Fault> {
        let mut writer = ValueWriter::new(&self.values, index.tail);
        let written =
            self.move_rows(index, number, &mut writer).and_then(|moves| Ok((moves, writer.finish()?)));
        let (moves, tail) = written.inspect_err(|_| writer.undo())?;
        let commit = Commit { step: index.step, tail, moves: &moves, added: &writer.added };
        if let Err(fault) = index.commit(&commit, marks) {
            if index.is_usable() {
                writer.undo();
            }
            return Err(fault);
        }
        self.relocate(&moves);
        index.uses.remove(&number);
        Ok(self.values.remove(number)?)
    }

    fn move_rows(&self, index: &Index, number: u32, writer: &mut ValueWriter<'_>) -> Result<Moves, Fault> {
        let Some(entry) = index.uses.get(&number).filter(|entry| entry.live > 0) else {
            return Ok(Moves::default());
        };
        let Some(file) = self.values.file(number) else { return Ok(Moves::default()) };
        let mut by_shard = vec![Vec::new(); SHARDS];
        let mut found = 0;
        let mut records = Records::new(file, entry.end);
        let at = |offset| Place { segment: number, offset };
        while let Some((offset, record)) =
            records.next().map_err(|error| self.values.fault(at(0), &format!("cannot be read: {error}")))?
        {
            if entry.is_live(offset) {
                let parsed = values::parse(record);
                let (table, key, _) = parsed.ok_or_else(|| self.values.fault(at(offset), "is damaged"))?;
                let tag = self.tag(table, key);
                let new = Some(writer.append_record(record)?);
                Move { tag, old: Some(at(offset)), new }.encode(&mut by_shard[Self::shard_of(tag)]);
                found += 1;
            }
        }
        if found != entry.live {
            return Err(self.values.fault(at(records.offset), "is damaged: rows are missing"));
        }
        Ok(Moves::from_shards(by_shard))
    }
}

/// The records of one value file, in order.
struct Records {
    file: Arc<dyn DiskFile>,
    end: u32,
    /// Where the next record begins.
    offset: u32,
    buffer: Vec<u8>,
    start: u32,
}

impl Records {
    fn new(file: Arc<dyn DiskFile>, end: u32) -> Self {
        Self { file, end, offset: 0, buffer: Vec::new(), start: 0 }
    }

    /// The next record and where it lies; `None` at the end, or where no record can be.
    fn next(&mut self) -> io::Result<Option<(u32, &[u8])>> {
        let header = self.fill(values::HEADER_BYTES)?;
        let Some(len) = values::record_len(header) else { return Ok(None) };
        if len as u64 > u64::from(self.end - self.offset) || self.fill(len)?.len() < len {
            return Ok(None);
        }
        let at = self.offset;
        self.offset += len as u32;
        let from = (at - self.start) as usize;
        Ok(Some((at, &self.buffer[from..from + len])))
    }

    /// Up to `count` bytes at the current place; fewer at the end of the file.
    fn fill(&mut self, count: usize) -> io::Result<&[u8]> {
        let count = count.min((self.end - self.offset) as usize);
        let from = (self.offset - self.start) as usize;
        if from + count > self.buffer.len() {
            let wanted = count.max(CHUNK_BYTES).min((self.end - self.offset) as usize);
            self.buffer.resize(wanted, 0);
            let read = self.file.read_at(u64::from(self.offset), &mut self.buffer)?;
            self.buffer.truncate(read);
            self.start = self.offset;
        }
        let from = (self.offset - self.start) as usize;
        Ok(&self.buffer[from..(from + count).min(self.buffer.len())])
    }
}
