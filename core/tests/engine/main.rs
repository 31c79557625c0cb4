//! The engine as a host sees it, with scripted backends.

mod bad_input;
mod correct;
mod disk_errors;
mod failures;
mod full_disk;
mod house;
mod interrupt;
mod jobs;
mod listening;
mod local;
mod memory;
mod options;
mod push_to_talk;
mod resume;
mod seam;
mod sessions;
mod settings;
mod shut_down;
mod streaming;
mod summary;
mod support;
mod suspend;
mod turns;
