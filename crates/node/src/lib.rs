//! Joins ledger, engine, store, peers and RPC into a running node.
