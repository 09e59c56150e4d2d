//! The value log: rows of point tables in append-only files.
//!
//! ```text
//! record   crc 4 │ key length 4 │ value length 4 │ table 1 │ key │ value
//! ```
//!
//! A file holds nothing but records. What it holds beyond the end that the index knows is the rest of a flush that was
//! never committed, and is written over.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use chainwright_chain::{Fault, TableId, Value};
use hashbrown::HashMap;
use parking_lot::RwLock;

use super::place::{Place, SEGMENTS_MAX};
use crate::disk::{Disk, DiskFile};
use crate::error::HINT_REBUILD;

pub(crate) const HEADER_BYTES: usize = 13;
/// Read at once; most rows are smaller.
const GUESS_BYTES: usize = 128;
const BUFFER_BYTES: usize = 1 << 20;

/// What was found at a place.
pub(crate) enum Found {
    Value(Value),
    /// A row whose key has the same tag.
    OtherKey,
    /// Compaction has moved the row since the index was asked.
    Moved,
}

/// The files, for readers on any thread.
pub(crate) struct Values {
    disk: Arc<dyn Disk>,
    segment_bytes: u64,
    files: RwLock<HashMap<u32, Arc<dyn DiskFile>>>,
}

impl Values {
    pub(crate) fn new(disk: Arc<dyn Disk>, segment_bytes: u64) -> Self {
        Self { disk, segment_bytes, files: RwLock::new(HashMap::new()) }
    }

    pub(crate) fn file_name(number: u32) -> String {
        format!("values-{number:08}")
    }

    pub(crate) fn file_number(name: &str) -> Option<u32> {
        let digits = name.strip_prefix("values-")?;
        (digits.len() == 8).then(|| digits.parse().ok())?
    }

    pub(crate) fn file(&self, number: u32) -> Option<Arc<dyn DiskFile>> {
        self.files.read().get(&number).cloned()
    }

    /// All files, held open.
    pub(crate) fn files(&self) -> HashMap<u32, Arc<dyn DiskFile>> {
        self.files.read().clone()
    }

    /// Opens a file, or makes an empty one.
    pub(crate) fn attach(&self, number: u32, create: bool) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(&Self::file_name(number), create)?;
        self.files.write().insert(number, Arc::clone(&file));
        Ok(file)
    }

    pub(crate) fn remove(&self, number: u32) -> io::Result<()> {
        self.files.write().remove(&number);
        self.disk.remove(&Self::file_name(number))
    }

    /// Reads the row at a place if it has this key.
    pub(crate) fn read(&self, place: Place, table: TableId, key: &[u8]) -> Result<Found, Fault> {
        let Some(file) = self.file(place.segment) else { return Ok(Found::Moved) };
        let mut guess = [0; GUESS_BYTES];
        let count = file.read_at(u64::from(place.offset), &mut guess);
        let count = count.map_err(|error| self.fault(place, &format!("cannot be read: {error}")))?;
        let damaged = || self.fault(place, "is damaged");
        let len = record_len(&guess[..count]).ok_or_else(damaged)?;
        if len <= count {
            return check(&guess[..len], table, key).ok_or_else(damaged);
        }
        // Nothing is as long as a damaged length may say.
        let end = file.len().map_err(|error| self.fault(place, &format!("cannot be read: {error}")))?;
        if u64::from(place.offset) + len as u64 > end {
            return Err(damaged());
        }
        let mut bytes = vec![0; len];
        let count = file.read_at(u64::from(place.offset), &mut bytes);
        count.map_err(|error| self.fault(place, &format!("cannot be read: {error}")))?;
        check(&bytes, table, key).ok_or_else(damaged)
    }

    pub(crate) fn fault(&self, place: Place, what: &str) -> Fault {
        let name = Self::file_name(place.segment);
        Fault::new(format!(
            "{}/{name}: the row at byte {} {what}\nhint: {HINT_REBUILD}",
            self.disk.place(),
            place.offset
        ))
    }
}

/// The length a record claims, in bytes.
pub(crate) fn record_len(bytes: &[u8]) -> Option<usize> {
    let word = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk::<4>()?) as usize);
    bytes.get(..HEADER_BYTES)?;
    HEADER_BYTES.checked_add(word(4)?)?.checked_add(word(8)?)
}

/// Table and key of a record, if its checksum is right.
pub(crate) fn parse(record: &[u8]) -> Option<(TableId, &[u8], &[u8])> {
    let (crc, rest) = record.split_first_chunk::<4>()?;
    if crc32c::crc32c(rest) != u32::from_le_bytes(*crc) {
        return None;
    }
    let key_len = u32::from_le_bytes(*rest.first_chunk::<4>()?) as usize;
    let (key, value) = record.get(HEADER_BYTES..)?.split_at_checked(key_len)?;
    Some((TableId(record[12]), key, value))
}

fn check(record: &[u8], table: TableId, key: &[u8]) -> Option<Found> {
    let (found_table, found_key, value) = parse(record)?;
    let same = found_table == table && found_key == key;
    Some(if same { Found::Value(Value::from_slice(value)) } else { Found::OtherKey })
}

/// What a writer added to one file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Added {
    pub(crate) rows: u32,
    /// Where the file ends now.
    pub(crate) end: u32,
}

/// Appends rows. Nothing of it counts before the index has been told.
pub(crate) struct ValueWriter<'v> {
    values: &'v Values,
    start: Place,
    tail: Place,
    buffer: Vec<u8>,
    pub(crate) added: BTreeMap<u32, Added>,
}

impl<'v> ValueWriter<'v> {
    /// A writer that goes on at `tail`.
    pub(crate) fn new(values: &'v Values, tail: Place) -> Self {
        Self { values, start: tail, tail, buffer: Vec::new(), added: BTreeMap::new() }
    }

    pub(crate) fn append_row(&mut self, table: TableId, key: &[u8], value: &[u8]) -> Result<Place, Fault> {
        let place = self.begin(HEADER_BYTES + key.len() + value.len())?;
        let start = self.buffer.len();
        self.buffer.extend_from_slice(&[0; 4]);
        self.buffer.extend_from_slice(&(key.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(&(value.len() as u32).to_le_bytes());
        self.buffer.push(table.0);
        self.buffer.extend_from_slice(key);
        self.buffer.extend_from_slice(value);
        let crc = crc32c::crc32c(&self.buffer[start + 4..]);
        self.buffer[start..start + 4].copy_from_slice(&crc.to_le_bytes());
        Ok(place)
    }

    pub(crate) fn append_record(&mut self, record: &[u8]) -> Result<Place, Fault> {
        let place = self.begin(record.len())?;
        self.buffer.extend_from_slice(record);
        Ok(place)
    }

    /// Makes room for a record and says where it will lie.
    fn begin(&mut self, len: usize) -> Result<Place, Fault> {
        let full = u64::from(self.tail.offset) + len as u64 > self.values.segment_bytes;
        if full && self.tail.offset > 0 {
            self.write()?;
            self.tail = Place { segment: self.tail.segment + 1, offset: 0 };
        }
        if self.tail.segment >= SEGMENTS_MAX || len > 1 << 31 {
            return Err(self.values.fault(self.tail, "cannot be written: the value log is full"));
        }
        if self.buffer.len() >= BUFFER_BYTES {
            self.write()?;
        }
        let place = self.tail;
        self.tail.offset += len as u32;
        let added = self.added.entry(place.segment).or_default();
        added.rows += 1;
        added.end = self.tail.offset;
        Ok(place)
    }

    fn write(&mut self) -> Result<(), Fault> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let offset = u64::from(self.tail.offset) - self.buffer.len() as u64;
        let write = || {
            let known = self.values.file(self.tail.segment);
            let file = known.map_or_else(|| self.values.attach(self.tail.segment, true), Ok)?;
            file.write_at(offset, &self.buffer)
        };
        write().map_err(|error| self.values.fault(self.tail, &format!("cannot be written: {error}")))?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes and syncs everything. Returns where the log ends now.
    pub(crate) fn finish(&mut self) -> Result<Place, Fault> {
        self.write()?;
        let sync = || {
            for &number in self.added.keys() {
                self.values.file(number).map_or(Ok(()), |file| file.sync())?;
            }
            if self.added.keys().any(|&number| number > self.start.segment) || self.start.offset == 0 {
                self.values.disk.sync_directory()?;
            }
            Ok(())
        };
        sync().map_err(|error: io::Error| {
            self.values.fault(self.tail, &format!("cannot be synced: {error}"))
        })?;
        Ok(self.tail)
    }

    /// Gives the space of a failed flush back, as far as the disk lets us.
    pub(crate) fn undo(&self) {
        for &number in self.added.keys() {
            let result = if number > self.start.segment {
                self.values.remove(number)
            } else {
                self.values.file(number).map_or(Ok(()), |file| file.truncate(u64::from(self.start.offset)))
            };
            if let Err(error) = result {
                tracing::debug!(number, %error, "what a failed flush wrote is still there");
            }
        }
    }
}
