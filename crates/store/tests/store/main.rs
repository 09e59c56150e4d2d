//! The store seen from outside: a plain map beside it, crashes, damage.

#![allow(missing_docs, reason = "a test")]

mod basics;
mod crashes;
mod damage;
mod format;
mod model;
mod random;
mod readers;
mod window;
