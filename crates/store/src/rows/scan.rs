//! Showing every row of a table, as they all stood at one moment.

use std::sync::Arc;

use chainwright_chain::{Fault, Row, TableId, Value, Visit};
use hashbrown::{HashMap, HashSet};

use super::place::Place;
use super::values::{self, HEADER_BYTES};
use super::{Table, ordered::Ordered};
use crate::disk::DiskFile;

/// What a scan remembers of the moment it began.
struct Snapshot {
    /// Rows in memory.
    window: Vec<Row>,
    /// Where the others lie, in the order of the log.
    places: Vec<Place>,
    /// Keys whose rows at these places are out of date: their tags are those of other keys, too.
    outdated: HashSet<Value>,
    /// Held open: compaction may remove them meanwhile.
    files: HashMap<u32, Arc<dyn DiskFile>>,
}

impl Table {
    /// See [`chainwright_chain::Rows::scan`], for a point table.
    pub(super) fn scan_points(&self, table: TableId, visit: Visit<'_>) -> Result<(), Fault> {
        let Snapshot { window, places, outdated, files } = self.snapshot(table);
        for (key, value) in &window {
            visit(key, value)?;
        }
        let mut record = Vec::new();
        for place in places {
            let failed = |what: &str| self.values.fault(place, what);
            let file = files.get(&place.segment).ok_or_else(|| failed("is gone"))?;
            read_record(file, place, &mut record)
                .map_err(|error| failed(&format!("cannot be read: {error}")))?;
            let (of_table, key, value) = values::parse(&record).ok_or_else(|| failed("is damaged"))?;
            if of_table == table && !outdated.contains(key) {
                visit(key, value)?;
            }
        }
        Ok(())
    }

    /// All shards at once, so that no step is seen in part.
    fn snapshot(&self, table: TableId) -> Snapshot {
        let shards: Vec<_> = self.shards.iter().map(|shard| shard.read()).collect();
        let (mut window, mut outdated) = (Vec::new(), HashSet::new());
        let mut places = Vec::with_capacity(shards.iter().map(|shard| shard.slot_count()).sum());
        for shard in &shards {
            for (row, is_unclear) in shard.in_memory().filter(|(row, _)| row.table == table) {
                let key = Value::from_slice(row.key);
                if is_unclear {
                    outdated.insert(key.clone());
                }
                window.extend(row.value().map(|value| (key, Value::from_slice(value))));
            }
            places.extend(shard.newest_on_disk());
        }
        let files = self.values.files();
        drop(shards);
        places.sort_unstable_by_key(|place| (place.segment, place.offset));
        Snapshot { window, places, outdated, files }
    }

    /// See [`chainwright_chain::Rows::scan`], for an ordered table.
    pub(super) fn scan_ordered(&self, table: TableId, visit: Visit<'_>) -> Result<(), Fault> {
        let rows = Ordered::range(&self.ordered.read(), table, &[], None, usize::MAX);
        rows.iter().try_for_each(|(key, value)| visit(key, value))
    }
}

fn read_record(file: &Arc<dyn DiskFile>, place: Place, record: &mut Vec<u8>) -> std::io::Result<()> {
    let offset = u64::from(place.offset);
    record.resize(HEADER_BYTES + 128, 0);
    let count = file.read_at(offset, record)?;
    let damaged = || std::io::Error::new(std::io::ErrorKind::InvalidData, "its length makes no sense");
    let len = values::record_len(&record[..count]).ok_or_else(damaged)?;
    if offset + len as u64 > file.len()? {
        return Err(damaged());
    }
    record.resize(len, 0);
    if len > count {
        file.read_at(offset, record)?;
    }
    Ok(())
}
