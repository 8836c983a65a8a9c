//! The local socket: explain, status and control of a running server.
