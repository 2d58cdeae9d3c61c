//! Which reviews wait for which namespace, and which is looked up next.
//!
//! | so that | this holds |
//! |---|---|
//! | many reviews of one namespace cost one look-up | all who wait for a name share the next look-up of it |
//! | no answer is older than its question | a question never joins a look-up that was sent before it; it joins the next one |
//! | one peer cannot take all places | it may have as many look-ups under way as are still free |
//! | one peer cannot take all turns | peers that wait take turns |
//! | guesses do not hold up what exists | of one peer's names, those that it asked for in vain lately come last |
//! | a guess cannot hurt another | what was asked for in vain is remembered by peer, and answers no question |
//! | no question waits for ever | the queue is bounded; where it is full the peer with the most questions loses one |
//!
//! A list that is gone through, and no queue for each peer: it has some hundred
//! entries at most.

mod not_found;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::not_found::NotFound;
use crate::fairness::peer::Peer;

/// How many look-ups are under way at once. An API server that answers does so in
/// a few milliseconds, so this is thousands a second; one that does not is asked
/// no more than this, however many reviews come.
pub(super) const MAX_IN_FLIGHT: usize = 32;
/// How long a question waits for the end of a look-up of the same name that was
/// sent before. That one may hang, or another peer may send such all the time.
pub(super) const SLOW: Duration = Duration::from_millis(250);
/// Each how-manieth turn of a peer begins with the names that come last, so that
/// they come at all.
const LOW_PRIORITY_EVERY: u64 = 4;

/// The questions that are open, each with where its answer goes.
#[derive(Debug)]
pub(super) struct LookUpQueue<A> {
    /// How many may wait.
    most: usize,
    /// In the order in which they came.
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
    /// It was asked for in vain lately.
    is_low_priority: bool,
    /// The look-up that answers it.
    look_up: Option<u64>,
    answer: A,
}

/// A look-up that was sent.
#[derive(Debug)]
struct SentLookUp {
    name: Arc<str>,
    /// Whose turn it took.
    peer: Peer,
}

/// Of a peer that waits.
#[derive(Debug)]
struct Turns {
    /// When it had its last one.
    last: u64,
    had: u64,
}

/// A look-up to be sent.
#[derive(Debug)]
pub(super) struct NextLookUp {
    pub(super) number: u64,
    pub(super) name: Arc<str>,
    /// When the last one that waits for it gives up.
    pub(super) until: Instant,
}

/// The queue is full, and the peer has the most of it.
#[derive(Debug, PartialEq)]
pub(super) struct QueueFull;

impl<A> LookUpQueue<A> {
    /// At most so many wait.
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

    /// Takes up a question of `peer`, and returns its number. Another one may be
    /// dropped for it, with where its answer would have gone.
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
        self.turns
            .entry(peer)
            .or_insert(Turns { last: turn, had: 0 });
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

    /// Drops the latest question of the peer that has most.
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

    /// The answer to this question is not waited for any more.
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

    /// The look-up to be sent next, if one may be sent at `now`.
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
        // Of those that are alike in this, the first is the one that came first.
        let next = self
            .questions
            .iter()
            .filter(may_be_next)
            .min_by_key(|asked| {
                let turns = &self.turns[&asked.peer];
                let last_first = turns.had % LOW_PRIORITY_EVERY == LOW_PRIORITY_EVERY - 1;
                (turns.last, asked.is_low_priority != last_first)
            })?;
        let (peer, name) = (next.peer, Arc::clone(&next.name));
        self.turn += 1;
        let turns = self.turns.get_mut(&peer)?;
        turns.last = self.turn;
        turns.had += 1;
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

    /// A look-up has ended: where its answer goes. What it says about there being
    /// such a namespace, if anything, decides how soon the name is asked for again.
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

    /// Who waits no more has no place in the order.
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
