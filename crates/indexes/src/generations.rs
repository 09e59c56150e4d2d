//! Where the database lies: a numbered folder, so that a damaged one can be left behind while somebody still reads it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::database::{Batch, Database, Space, Trouble};

/// Of what is on disk; another one is built again.
const FORMAT: u8 = 1;
/// The key, in every table, of what it is and whose. No other key is as short.
pub(crate) const SEAL: &[u8] = &[0];

/// The place of all databases of one chain.
pub(crate) struct Generations {
    folder: PathBuf,
    /// What belongs to another chain is no use: the id of its first block.
    chain: [u8; 32],
    newest: u32,
}

impl Generations {
    /// The newest database in a folder, and why it is an empty one if it had to be given up.
    pub(crate) fn open(
        folder: &Path,
        chain: [u8; 32],
    ) -> Result<(Self, Arc<Database>, Option<String>), Trouble> {
        let disk = |error: std::io::Error| Trouble::Disk(format!("{}: {error}", folder.display()));
        std::fs::create_dir_all(folder).map_err(disk)?;
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(disk)? {
            let name = entry.map_err(disk)?.file_name();
            found.extend(name.to_str().and_then(|name| name.parse::<u32>().ok()));
        }
        found.sort_unstable();
        let newest = found.pop().unwrap_or(1);
        let mut all = Self { folder: folder.to_path_buf(), chain, newest };
        for old in found {
            std::fs::remove_dir_all(all.path(old)).map_err(disk)?;
        }
        match all.try_open() {
            Ok(database) => Ok((all, database, None)),
            Err(Trouble::Damaged(why)) => {
                let database = all.renew()?;
                Ok((all, database, Some(why)))
            }
            Err(trouble) => Err(trouble),
        }
    }

    fn path(&self, number: u32) -> PathBuf {
        self.folder.join(number.to_string())
    }

    /// Opens the newest database again. Each table names the chain: one that has gone missing is noticed.
    pub(crate) fn try_open(&self) -> Result<Arc<Database>, Trouble> {
        let database = Database::open(&self.path(self.newest))?;
        let mut seal = vec![FORMAT];
        seal.extend_from_slice(&self.chain);
        let snapshot = database.snapshot();
        let mut found = Vec::new();
        for space in Space::ALL {
            found.push(database.get(&snapshot, space, SEAL)?);
        }
        if found.iter().all(Option::is_none) && database.is_empty()? {
            let mut batch = Batch::new(&database);
            for space in Space::ALL {
                batch.set(space, SEAL.to_vec(), Some(seal.clone()));
            }
            batch.commit()?;
        } else if found.iter().any(Option::is_none) {
            return Err(Trouble::Damaged("a table has gone missing".to_owned()));
        } else if found.iter().flatten().any(|found| **found != *seal) {
            return Err(Trouble::Damaged("it is of another chain or version".to_owned()));
        }
        Ok(Arc::new(database))
    }

    /// An empty database in place of the newest one, whose folder goes when nobody reads it any more.
    pub(crate) fn renew(&mut self) -> Result<Arc<Database>, Trouble> {
        let old = self.path(self.newest);
        self.newest += 1;
        let database = self.try_open()?;
        // Readers of the old one keep its files open. What cannot be removed now is at the next start.
        let _ = std::fs::remove_dir_all(old);
        Ok(database)
    }
}
