//! Proof of work against the headers of the world and against Bitcoin Core's rules.

mod asert;
#[cfg(test)]
mod real_headers;
mod rules;
#[cfg(test)]
mod support;
