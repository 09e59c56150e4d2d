//! Indexes against naive ones, under reorganisations, crashes and damage.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod damage;
mod folder;
mod model;
mod modes;
mod naive;
#[path = "../../../chain/tests/support/mod.rs"]
mod support;
