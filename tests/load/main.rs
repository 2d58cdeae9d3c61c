//! What loads the machine, or measures what podseal takes of it.

mod all_attacks;
mod crowded;
mod faults;
mod hostile_clients;
mod outages;
