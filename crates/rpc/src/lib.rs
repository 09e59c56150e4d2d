//! What a node says over HTTP.
