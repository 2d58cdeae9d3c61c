//! The book: its pages, read for the commands that they have their reader run.

pub mod page;
pub mod repository;
