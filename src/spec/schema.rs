//! JSON schemas of both file kinds, for editors (`windrose check --schema`).
