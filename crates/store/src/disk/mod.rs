//! What the store needs of a directory.
//!
//! Two implementations: [`RealDisk`] and [`SimulatedDisk`]. The second loses, tears and reorders what was not synced,
//! so a crash at every single write is a test.
//!
//! What an implementation may do to whoever uses it, and the store therefore expects:
//! - a write that fails may have written any prefix;
//! - what was written but not synced may be lost in any combination when power fails, but not when only the process
//!   dies;
//! - a file's existence and name are synced by [`Disk::sync_directory`], its bytes by [`DiskFile::sync`].

mod real;
mod simulated;

use std::io;
use std::sync::Arc;

pub use real::RealDisk;
pub use simulated::SimulatedDisk;

/// A flat directory. Names are plain, without separators.
pub trait Disk: Send + Sync + 'static {
    /// Opens a file for reading and writing; creates an empty one if asked to.
    ///
    /// # Errors
    /// Those of the disk; [`io::ErrorKind::NotFound`] if there is none and none is to be created.
    fn open(&self, name: &str, create: bool) -> io::Result<Arc<dyn DiskFile>>;

    /// The names of all files, in no particular order.
    ///
    /// # Errors
    /// Those of the disk.
    fn list(&self) -> io::Result<Vec<String>>;

    /// Gives a file another name; a file that had that name is gone.
    ///
    /// # Errors
    /// Those of the disk.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. Who has it open can go on reading it.
    ///
    /// # Errors
    /// Those of the disk.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes creations, renames and removals survive a power cut.
    ///
    /// # Errors
    /// Those of the disk.
    fn sync_directory(&self) -> io::Result<()>;

    /// Where this is, for messages to a person.
    fn place(&self) -> String;
}

/// An open file. All positions and lengths are bytes.
pub trait DiskFile: Send + Sync {
    /// Reads at a position until `into` is full or the file ends, and returns how much was read.
    ///
    /// # Errors
    /// Those of the disk.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;

    /// Writes at a position; the file grows as needed.
    ///
    /// # Errors
    /// Those of the disk, a full one included; then any prefix may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// How long the file is.
    ///
    /// # Errors
    /// Those of the disk.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file holds nothing.
    ///
    /// # Errors
    /// Those of the disk.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Cuts the file to a length.
    ///
    /// # Errors
    /// Those of the disk.
    fn truncate(&self, len: u64) -> io::Result<()>;

    /// Makes the bytes written so far survive a power cut.
    ///
    /// # Errors
    /// Those of the disk. What was not synced before may be lost even if a later call succeeds.
    fn sync(&self) -> io::Result<()>;
}
