//! Why a store could not be opened.

use std::io;

/// Why a store could not be opened. Every message ends with what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process uses the directory.
    #[error(
        "{place} is in use by another process\nhint: stop the other node, or choose another data directory"
    )]
    Locked {
        /// The directory.
        place: String,
    },
    /// The operating system refused something.
    #[error("{place}: {error}\nhint: check that the directory is writable and that the disk is not full")]
    Disk {
        /// The directory, and the file if it is known.
        place: String,
        /// What the operating system said.
        error: io::Error,
    },
    /// The directory holds files of a store, but not the one that says whose they are.
    #[error(
        "{place} holds chain data but its file FORMAT is missing\n\
         hint: restore the file from a backup, or start with an empty data directory"
    )]
    Unnamed {
        /// The directory.
        place: String,
    },
    /// The data was written by another version of the format.
    #[error(
        "{place} has store format {found}, this program reads format {expected}\n\
         hint: use the version of the program that wrote it, or export the chain there and import it here"
    )]
    Version {
        /// The directory.
        place: String,
        /// The version found.
        found: String,
        /// The version this program writes.
        expected: u32,
    },
    /// The data belongs to something else.
    #[error(
        "{place} belongs to {what} `{found}`, but `{expected}` was asked for\n\
         hint: choose another data directory, or the chain file it was made with"
    )]
    Identity {
        /// The directory.
        place: String,
        /// What differs: ledger, engine, chain or tables.
        what: &'static str,
        /// What the directory holds.
        found: String,
        /// What was asked for.
        expected: String,
    },
    /// Bytes that were safely on the disk have changed or are gone.
    #[error("{place}: {file} is damaged at byte {offset}: {what}\nhint: {hint}")]
    Damaged {
        /// The directory.
        place: String,
        /// The file.
        file: String,
        /// Where in the file, in bytes.
        offset: u64,
        /// What was seen.
        what: String,
        /// What to do.
        hint: &'static str,
    },
}

pub(crate) const HINT_RESTORE: &str = "check the disk, then restore the data directory from a backup or start with \
                                       an empty one; the chain is downloaded again";
pub(crate) const HINT_REBUILD: &str = "check the disk, then remove all files named index-* and values-* there; the \
                                       state is rebuilt from the journal at the next start";
