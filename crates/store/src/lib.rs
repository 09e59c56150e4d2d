//! State, blocks and journal on disk.

mod disk;
mod error;
mod format;
mod library;
mod log;
mod marks;
mod rows;
mod store;
mod upkeep;

pub use disk::{Disk, DiskFile, RealDisk, SimulatedDisk};
pub use error::OpenError;
pub use format::Identity;
pub use store::{DiskStore, Footprint, Options};
