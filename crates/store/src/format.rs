//! The file that says whose data this is: format version, ledger, engine, chain and tables.

use std::io;

use chainwright_chain::{TableKind, TableSpec};

use crate::disk::Disk;
use crate::error::{HINT_RESTORE, OpenError};
use crate::marks::Marks;

/// The version of everything this crate writes.
pub(crate) const VERSION: u32 = 1;
const FILE: &str = "FORMAT";
const FRESH: &str = "FORMAT.new";
/// How the names of the other files begin.
const LOGS: [&str; 5] = ["blocks-", "records-", "journal-", "index-", "values-"];

/// Whose data a store holds; written into a new one, compared with an old one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The ledger's name.
    pub ledger: String,
    /// The engine's name.
    pub engine: String,
    /// What tells chains of the same ledger and engine apart: a genesis id or a name, on one line.
    pub chain: String,
    /// The ledger's tables.
    pub tables: &'static [TableSpec],
}

/// The secret of the hash that places rows, so that nobody can make keys that collide.
pub(crate) type HashKey = (u64, u64);

impl Identity {
    /// The lines of the file, without the hash key and the checksum.
    fn lines(&self) -> Vec<(&'static str, String)> {
        let line = |text: &str| text.replace(['\n', '\r'], " ");
        let tables: Vec<_> = self.tables.iter().map(show_table).collect();
        vec![
            ("ledger", line(&self.ledger)),
            ("engine", line(&self.engine)),
            ("chain", line(&self.chain)),
            ("tables", tables.join(", ")),
        ]
    }
}

fn show_table(spec: &TableSpec) -> String {
    let kind = match spec.kind {
        TableKind::Point => "point",
        TableKind::Ordered => "ordered",
    };
    format!("{} ({kind})", spec.name)
}

/// Writes the identity into an empty directory or compares it with what is there. Returns the hash key.
///
/// # Errors
/// An [`OpenError`] when the directory belongs to something else or cannot be read.
pub(crate) fn claim(disk: &dyn Disk, identity: &Identity, fresh: HashKey) -> Result<HashKey, OpenError> {
    let place = disk.place();
    let failed = |error| OpenError::Disk { place: format!("{place}/{FILE}"), error };
    let names = disk.list().map_err(failed)?;
    if names.iter().any(|name| name == FILE) {
        let text = read(disk).map_err(failed)?;
        return compare(place.clone(), identity, &text);
    }
    if names.iter().any(|name| LOGS.iter().any(|log| name.starts_with(log))) {
        return Err(OpenError::Unnamed { place });
    }
    Marks::create(disk).map_err(failed)?;
    write(disk, identity, fresh).map_err(failed)?;
    Ok(fresh)
}

fn read(disk: &dyn Disk) -> io::Result<Vec<u8>> {
    let file = disk.open(FILE, false)?;
    let mut bytes = vec![0; file.len()?.min(1 << 16) as usize];
    let count = file.read_at(0, &mut bytes)?;
    bytes.truncate(count);
    Ok(bytes)
}

fn write(disk: &dyn Disk, identity: &Identity, key: HashKey) -> io::Result<()> {
    let mut lines = vec![format!("chainwright store {VERSION}")];
    lines.extend(identity.lines().into_iter().map(|(name, value)| format!("{name} {value}")));
    lines.push(format!("hash {:016x}{:016x}\n", key.0, key.1));
    let text = lines.join("\n");
    let text = format!("{text}crc32c {:08x}\n", crc32c::crc32c(text.as_bytes()));
    let file = disk.open(FRESH, true)?;
    file.truncate(0)?;
    file.write_at(0, text.as_bytes())?;
    file.sync()?;
    disk.rename(FRESH, FILE)?;
    disk.sync_directory()
}

fn compare(place: String, identity: &Identity, bytes: &[u8]) -> Result<HashKey, OpenError> {
    let damaged = |offset: usize, what: &str| OpenError::Damaged {
        place: place.clone(),
        file: FILE.to_owned(),
        offset: offset as u64,
        what: what.to_owned(),
        hint: HINT_RESTORE,
    };
    let text = std::str::from_utf8(bytes).map_err(|error| damaged(error.valid_up_to(), "not text"))?;
    let version = text.lines().next().and_then(|line| line.strip_prefix("chainwright store "));
    let version = version.ok_or_else(|| damaged(0, "does not begin with `chainwright store`"))?;
    if version != VERSION.to_string() {
        return Err(OpenError::Version { place, found: version.to_owned(), expected: VERSION });
    }
    let end = text.find("crc32c ").ok_or_else(|| damaged(text.len(), "has no checksum"))?;
    if text[end..] != format!("crc32c {:08x}\n", crc32c::crc32c(&bytes[..end])) {
        return Err(damaged(end, "the checksum does not match"));
    }
    let found = |name: &str| {
        let mut lines = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        lines.next().unwrap_or_default().to_owned()
    };
    for (what, expected) in identity.lines() {
        let found = found(what);
        if found != expected {
            return Err(OpenError::Identity { place, what, found, expected });
        }
    }
    let key = u128::from_str_radix(&found("hash"), 16).map_err(|_| damaged(0, "has no hash key"))?;
    Ok(((key >> 64) as u64, key as u64))
}
