//! The real binary, as people use it.

mod chain_files;
mod dev;
mod import;
mod personality;
mod run;
