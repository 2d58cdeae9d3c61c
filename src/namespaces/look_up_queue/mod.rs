//! Which reviews wait for which namespace, and which is looked up next.
//!
//! | goal | rule |
//! |---|---|
//! | many reviews of one namespace cost one look-up | all questions for a name share its next look-up |
//! | no answer is older than its question | a question never joins a look-up that was sent before it |
//! | one peer cannot take all slots | a peer may have at most as many look-ups in flight as are free |
//! | one peer cannot take all turns | waiting peers take turns |
//! | guessed names do not delay existing ones | names that a peer recently asked for and that do not exist come last for it |
//! | a guess does not affect other peers | missing names are recorded per peer, and answer no question |
//! | no question waits forever | the queue is bounded; if it is full, the peer with the most questions loses one |
//!
//! One list, searched linearly, instead of a queue for each peer: it has a few hundred
//! entries at most.

mod not_found;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::not_found::NotFound;
use crate::fairness::peer::Peer;

/// The maximum number of look-ups in flight. A responsive API server answers in a
/// few milliseconds, so this allows thousands per second. One that hangs gets at most
/// twice as many requests, regardless of the number of reviews.
pub(super) const MAX_IN_FLIGHT: usize = 32;
/// How long a question waits for an earlier look-up of the same name to end. That
/// look-up may hang, or another peer may start such look-ups all the time.
pub(super) const SLOW: Duration = Duration::from_millis(250);
/// Every so many turns, a peer's low-priority names come first, so that they come at
/// all.
const LOW_PRIORITY_EVERY: u64 = 4;

/// The open questions, each with the receiver of its answer.
#[derive(Debug)]
pub(super) struct LookUpQueue<A> {
    /// The maximum number of questions.
    most: usize,
    /// In order of arrival.
    questions: Vec<Question<A>>,
    in_flight: HashMap<u64, SentLookUp>,
    turns: HashMap<Peer, Turns>,
    turn: u64,
    not_found: NotFound,
    numbers: u64,
}

#[derive(Debug)]
struct Question<A> {
    number: u64,
    peer: Peer,
    name: Arc<str>,
    since: Instant,
    until: Instant,
    /// The peer recently asked for it, and it did not exist.
    is_low_priority: bool,
    /// The look-up that answers it.
    look_up: Option<u64>,
    answer: A,
}

/// A look-up that was sent.
#[derive(Debug)]
struct SentLookUp {
    name: Arc<str>,
    /// The peer whose turn it used.
    peer: Peer,
}

/// The turns of a waiting peer.
#[derive(Debug)]
struct Turns {
    /// Its last turn.
    last: u64,
    count: u64,
}

/// A look-up to send.
#[derive(Debug)]
pub(super) struct NextLookUp {
    pub(super) number: u64,
    pub(super) name: Arc<str>,
    /// When the last question that waits for it times out.
    pub(super) until: Instant,
}

/// The queue is full, and no other peer has more questions in it.
#[derive(Debug, PartialEq)]
pub(super) struct QueueFull;

impl<A> LookUpQueue<A> {
    /// A queue of at most `most` questions.
    pub(super) fn new(most: usize) -> LookUpQueue<A> {
        LookUpQueue {
            most,
            questions: Vec::new(),
            in_flight: HashMap::new(),
            turns: HashMap::new(),
            turn: 0,
            not_found: NotFound::default(),
            numbers: 0,
        }
    }

    /// Adds a question of `peer`, and returns its number. If the queue is full, this may
    /// drop another question and its receiver.
    pub(super) fn ask(
        &mut self,
        peer: Peer,
        name: &str,
        (since, until): (Instant, Instant),
        answer: A,
    ) -> Result<u64, QueueFull> {
        if self.questions.len() >= self.most {
            self.evict_for(peer)?;
        }
        let name = match self.questions.iter().find(|asked| *asked.name == *name) {
            Some(asked) => Arc::clone(&asked.name),
            None => name.into(),
        };
        let number = self.number();
        let turn = self.turn;
        self.turns.entry(peer).or_insert(Turns {
            last: turn,
            count: 0,
        });
        self.questions.push(Question {
            number,
            peer,
            is_low_priority: self.not_found.has(peer, &name),
            name,
            since,
            until,
            look_up: None,
            answer,
        });
        Ok(number)
    }

    /// Drops the latest question of the peer that has the most.
    fn evict_for(&mut self, newcomer: Peer) -> Result<(), QueueFull> {
        let mut counts = HashMap::<Peer, usize>::new();
        for question in &self.questions {
            *counts.entry(question.peer).or_default() += 1;
        }
        let own = counts.get(&newcomer).copied().unwrap_or_default();
        let (peer, most) = counts
            .into_iter()
            .max_by_key(|(_, count)| *count)
            .ok_or(QueueFull)?;
        if own >= most {
            return Err(QueueFull);
        }
        let is_its = |question: &Question<A>| question.peer == peer;
        let latest = self.questions.iter().rposition(is_its).ok_or(QueueFull)?;
        self.questions.remove(latest);
        self.forget_turns(peer);
        Ok(())
    }

    /// Removes a question that no longer waits.
    pub(super) fn abandon(&mut self, number: u64) {
        let found = self
            .questions
            .iter()
            .position(|asked| asked.number == number);
        if let Some(index) = found {
            let question = self.questions.remove(index);
            self.forget_turns(question.peer);
        }
    }

    /// The next look-up, if one may be sent at `now`.
    pub(super) fn next(&mut self, now: Instant) -> Option<NextLookUp> {
        let free = MAX_IN_FLIGHT.checked_sub(self.in_flight.len())?;
        let mut held = HashMap::<Peer, usize>::new();
        for look_up in self.in_flight.values() {
            *held.entry(look_up.peer).or_default() += 1;
        }
        let may_be_next = |asked: &&Question<A>| {
            let held = held.get(&asked.peer).copied().unwrap_or_default();
            asked.look_up.is_none()
                && asked.until > now
                && held < free
                && (now.saturating_duration_since(asked.since) >= SLOW
                    || !self.is_in_flight(&asked.name))
        };
        // `min_by_key` returns the first of equals, which arrived first.
        let next = self
            .questions
            .iter()
            .filter(may_be_next)
            .min_by_key(|asked| {
                let turns = &self.turns[&asked.peer];
                let last_first = turns.count % LOW_PRIORITY_EVERY == LOW_PRIORITY_EVERY - 1;
                (turns.last, asked.is_low_priority != last_first)
            })?;
        let (peer, name) = (next.peer, Arc::clone(&next.name));
        self.turn += 1;
        let turns = self.turns.get_mut(&peer)?;
        turns.last = self.turn;
        turns.count += 1;
        let number = self.number();
        let mut until = now;
        for asked in &mut self.questions {
            if asked.name == name && asked.look_up.is_none() {
                asked.look_up = Some(number);
                until = until.max(asked.until);
            }
        }
        let look_up = SentLookUp {
            name: Arc::clone(&name),
            peer,
        };
        self.in_flight.insert(number, look_up);
        Some(NextLookUp {
            number,
            name,
            until,
        })
    }

    /// Ends a look-up, and returns the receivers of its answer. `exists` sets the
    /// priority of the name's next look-up, if the answer is known.
    pub(super) fn answer(&mut self, look_up: u64, exists: Option<bool>) -> Vec<A> {
        let (answered, open): (Vec<_>, Vec<_>) = std::mem::take(&mut self.questions)
            .into_iter()
            .partition(|question| question.look_up == Some(look_up));
        self.questions = open;
        let ended = self.in_flight.remove(&look_up);
        let asker = ended.map(|ended| (ended.peer, ended.name));
        let askers = answered
            .iter()
            .map(|asked| (asked.peer, Arc::clone(&asked.name)));
        for (peer, name) in asker.into_iter().chain(askers) {
            match exists {
                Some(true) => self.not_found.remove(peer, &name),
                Some(false) => self.not_found.add(peer, &name),
                None => {}
            }
            self.forget_turns(peer);
        }
        answered
            .into_iter()
            .map(|question| question.answer)
            .collect()
    }

    fn is_in_flight(&self, name: &str) -> bool {
        self.in_flight
            .values()
            .any(|look_up| *look_up.name == *name)
    }

    /// Removes the turns of a peer that no longer waits.
    fn forget_turns(&mut self, peer: Peer) {
        if !self.questions.iter().any(|question| question.peer == peer) {
            self.turns.remove(&peer);
        }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }
}

#[cfg(test)]
mod tests;
