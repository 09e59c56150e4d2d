//! The rows of a state as they stood after an older block.
//!
//! ```text
//!   row at height h  =  the old value of the first entry above h, if there is one;  else as it stands now
//! ```

use std::iter::Peekable;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use chainwright_chain::{Fault, Height, Row, Rows, StateView, TableId, Value, Visit};
use fjall::Snapshot;

use crate::database::{Database, Space, Trouble};
use crate::key;

/// Rows of the newest state asked for at a time.
const PAGE_ROWS: usize = 1_024;
/// Rows one scan shows, at most: whoever lists a whole state holds it in memory.
const SCAN_ROWS_MAX: u64 = 4_000_000;

/// Old rows, read from the index, over the rows as they stand.
pub struct HistoryRows {
    database: Arc<Database>,
    snapshot: Snapshot,
    /// The state where the index stands.
    base: StateView,
    height: Height,
    /// Rows that scans have shown.
    shown: AtomicU64,
}

/// What a row was: the old value of an entry.
type Old = Option<Value>;

fn fault(trouble: Trouble) -> Fault {
    match trouble {
        Trouble::Damaged(why) => Fault::new(format!("the history index is damaged: {why}")),
        Trouble::Disk(why) => Fault::new(format!("the history index cannot be read: {why}")),
    }
}

/// nothing, or 1 │ the value
pub(crate) fn encode_old(old: Option<&[u8]>) -> Vec<u8> {
    old.map(|old| [&[1], old].concat()).unwrap_or_default()
}

fn decode_old(bytes: &[u8]) -> Result<Old, Trouble> {
    match bytes.split_first() {
        None => Ok(None),
        Some((1, value)) => Ok(Some(Value::from_slice(value))),
        Some(_) => Err(Trouble::Damaged("an old value makes no sense".to_owned())),
    }
}

impl HistoryRows {
    pub(crate) fn new(database: Arc<Database>, snapshot: Snapshot, base: StateView, height: Height) -> Self {
        Self { database, snapshot, base, height, shown: AtomicU64::new(0) }
    }

    /// What a row was, if a block above changed it.
    fn old(&self, table: TableId, row_key: &[u8]) -> Result<Option<Old>, Fault> {
        let row = key::row(table, row_key);
        let end = key::after_row(&row);
        let from = key::entry(row, self.height.next());
        let first = self.database.range(&self.snapshot, Space::History, &from, &end).next();
        let Some(entry) = first.transpose().map_err(fault)? else { return Ok(None) };
        decode_old(&entry.1).map(Some).map_err(fault)
    }

    /// Rows from one key up to another that blocks above changed, in order, and what they were.
    fn all_old(
        &self,
        table: TableId,
        from: &[u8],
        to: Option<&[u8]>,
    ) -> impl Iterator<Item = Result<(Vec<u8>, Old), Fault>> + use<> {
        let end = to.map_or_else(|| key::after_table(table), |to| key::row(table, to));
        let mut entries = self.database.range(&self.snapshot, Space::History, &key::row(table, from), &end);
        let height = self.height;
        let mut done: Vec<u8> = Vec::new();
        let next = move || -> Result<Option<(Vec<u8>, Old)>, Trouble> {
            for entry in entries.by_ref() {
                let (bytes, old) = entry?;
                let parts = key::split_entry(&bytes);
                let (row, key, at) =
                    parts.ok_or_else(|| Trouble::Damaged("a key makes no sense".to_owned()))?;
                if at > height && row != done {
                    done = row.to_vec();
                    return Ok(Some((key, decode_old(&old)?)));
                }
            }
            Ok(None)
        };
        let mut next = next;
        std::iter::from_fn(move || next().map_err(fault).transpose())
    }

    fn count(&self) -> Result<(), Fault> {
        if self.shown.fetch_add(1, Ordering::Relaxed) < SCAN_ROWS_MAX {
            return Ok(());
        }
        Err(Fault::new(format!("an older state of more than {SCAN_ROWS_MAX} rows is not listed")))
    }
}

/// The next of two ordered lists while it lies before a key.
fn next_before<I>(olds: &mut Peekable<I>, end: Option<&[u8]>) -> Result<Option<(Vec<u8>, Old)>, Fault>
where
    I: Iterator<Item = Result<(Vec<u8>, Old), Fault>>,
{
    let is_before = |item: &Result<(Vec<u8>, Old), Fault>| match (item, end) {
        (Ok((key, _)), Some(end)) => key.as_slice() < end,
        _ => true,
    };
    olds.next_if(is_before).transpose()
}

impl Rows for HistoryRows {
    fn get(&self, table: TableId, key: &[u8]) -> Result<Option<Value>, Fault> {
        match self.old(table, key)? {
            Some(old) => Ok(old),
            None => self.base.get(table, key),
        }
    }

    fn range(&self, table: TableId, from: &[u8], to: Option<&[u8]>, limit: usize) -> Result<Vec<Row>, Fault> {
        let mut olds = self.all_old(table, from, to).peekable();
        let mut found = Vec::new();
        let mut start = from.to_vec();
        loop {
            let page = self.base.range(table, &start, to, limit.min(PAGE_ROWS))?;
            let is_last = page.len() < limit.min(PAGE_ROWS);
            if let Some((key, _)) = page.last() {
                start = [key.as_slice(), &[0]].concat();
            }
            for (key, value) in page {
                while let Some((old_key, old)) = next_before(&mut olds, Some(&key))? {
                    found.extend(old.map(|old| (Value::from_vec(old_key), old)));
                }
                let is_same = |item: &Result<(Vec<u8>, Old), Fault>| {
                    item.as_ref().is_ok_and(|(old, _)| old.as_slice() == key.as_slice())
                };
                match olds.next_if(is_same).transpose()? {
                    Some((_, old)) => found.extend(old.map(|old| (key, old))),
                    None => found.push((key, value)),
                }
            }
            if is_last || found.len() >= limit {
                break;
            }
        }
        while found.len() < limit {
            let Some((key, old)) = next_before(&mut olds, None)? else { break };
            found.extend(old.map(|old| (Value::from_vec(key), old)));
        }
        found.truncate(limit);
        Ok(found)
    }

    fn scan(&self, table: TableId, visit: Visit<'_>) -> Result<(), Fault> {
        self.base.scan(table, &mut |key, value| {
            if self.old(table, key)?.is_some() {
                return Ok(());
            }
            self.count()?;
            visit(key, value)
        })?;
        for row in self.all_old(table, &[], None) {
            if let (key, Some(old)) = row? {
                self.count()?;
                visit(&key, &old)?;
            }
        }
        Ok(())
    }
}
