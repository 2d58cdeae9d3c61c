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

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

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
/// How many names are remembered of a peer.
const NAMES: usize = 128;
/// Of how many peers.
const PEERS: usize = 128;

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

/// The names that peers asked for in vain lately.
#[derive(Debug, Default)]
struct NotFound {
    /// The latest last.
    names: HashMap<Peer, VecDeque<Arc<str>>>,
    /// The peer whose names were added last is the last.
    peers: VecDeque<Peer>,
}

impl NotFound {
    fn has(&self, peer: Peer, name: &str) -> bool {
        let names = self.names.get(&peer);
        names.is_some_and(|names| names.iter().any(|known| **known == *name))
    }

    fn add(&mut self, peer: Peer, name: &Arc<str>) {
        self.remove(peer, name);
        self.peers.retain(|known| *known != peer);
        self.peers.push_back(peer);
        if self.peers.len() > PEERS
            && let Some(oldest) = self.peers.pop_front()
        {
            self.names.remove(&oldest);
        }
        let names = self.names.entry(peer).or_default();
        names.push_back(Arc::clone(name));
        if names.len() > NAMES {
            names.pop_front();
        }
    }

    fn remove(&mut self, peer: Peer, name: &str) {
        if let Some(names) = self.names.get_mut(&peer) {
            names.retain(|known| **known != *name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A queue whose answers go to a number.
    struct Queue {
        waiting: LookUpQueue<usize>,
        now: Instant,
    }

    fn peer(last: u8) -> Peer {
        Peer::of([192, 0, 2, last].into())
    }

    impl Queue {
        fn new(most: usize) -> Queue {
            Queue {
                waiting: LookUpQueue::new(most),
                now: Instant::now(),
            }
        }

        fn ask(&mut self, from: u8, name: &str, answer: usize) -> Result<u64, QueueFull> {
            let until = self.now + Duration::from_secs(2);
            self.waiting
                .ask(peer(from), name, (self.now, until), answer)
        }

        /// The names of all look-ups that may be sent now, and their numbers.
        fn send(&mut self) -> Vec<(String, u64)> {
            let next = std::iter::from_fn(|| self.waiting.next(self.now));
            next.map(|send| (send.name.to_string(), send.number))
                .collect()
        }

        fn send_names(&mut self) -> Vec<String> {
            self.send().into_iter().map(|(name, _)| name).collect()
        }
    }

    #[test]
    fn all_who_wait_for_a_name_share_a_look_up_that_is_sent_after_they_asked() {
        let mut queue = Queue::new(100);
        queue.ask(1, "ci", 0).expect("room");
        let [(_, first)] = &queue.send()[..] else {
            panic!("one is sent");
        };
        let first = *first;
        for (answer, from) in [(1, 1), (2, 1), (3, 2)] {
            queue.ask(from, "ci", answer).expect("room");
        }
        assert_eq!(
            queue.send(),
            [],
            "the first is under way, and too old for them"
        );
        assert_eq!(queue.waiting.answer(first, Some(true)), [0]);
        let [(_, second)] = &queue.send()[..] else {
            panic!("one is sent");
        };
        assert_eq!(queue.waiting.answer(*second, Some(true)), [1, 2, 3]);
        assert!(queue.waiting.turns.is_empty() && queue.waiting.in_flight.is_empty());
    }

    #[test]
    fn a_look_up_that_hangs_holds_up_those_after_it_for_a_moment_only() {
        let mut queue = Queue::new(100);
        queue.ask(1, "ci", 0).expect("room");
        assert_eq!(queue.send_names(), ["ci"]);
        queue.now += SLOW;
        queue.ask(1, "ci", 1).expect("room");
        assert_eq!(queue.send_names(), [""; 0]);
        queue.now += SLOW;
        assert_eq!(queue.send_names(), ["ci"]);
    }

    #[test]
    fn a_peer_leaves_places_for_others_however_many_there_are() {
        let mut queue = Queue::new(1000);
        for from in 1..=4 {
            for answer in 0..100 {
                let name = format!("n-{from}-{answer}");
                queue.ask(from, &name, answer).expect("room");
            }
            let sent = queue.send().len();
            assert_eq!(sent, MAX_IN_FLIGHT >> from, "peer {from}");
        }
    }

    #[test]
    fn peers_take_turns_however_much_one_asks() {
        let mut queue = Queue::new(10_000);
        for answer in 0..1000 {
            queue
                .ask(1, &format!("flood-{answer}"), answer)
                .expect("room");
        }
        let mut in_flight = VecDeque::from(queue.send());
        queue.ask(2, "job", 0).expect("room");
        let first = queue.send();
        assert_eq!(first[0].0, "job", "nothing has ended yet");
        in_flight.extend(first);
        for answer in 0..1000 {
            queue
                .ask(2, &format!("job-{answer}"), answer)
                .expect("room");
        }
        let mut of_flood = 0;
        for round in 0..200 {
            let (_, ended) = in_flight.pop_front().expect("some are under way");
            queue.waiting.answer(ended, Some(false));
            let sent = queue.send();
            if round >= 100 {
                of_flood += sent
                    .iter()
                    .filter(|(name, _)| name.starts_with("flood"))
                    .count();
            }
            in_flight.extend(sent);
        }
        assert!((45..=55).contains(&of_flood), "{of_flood} of a hundred");
    }

    #[test]
    fn what_a_peer_asked_for_in_vain_comes_last_for_it_and_for_no_other() {
        for from in [1, 2] {
            let mut queue = Queue::new(1000);
            queue.ask(1, "job", 0).expect("room");
            let (_, number) = queue.send().remove(0);
            queue.waiting.answer(number, Some(false));
            // All of its places.
            for answer in 0..MAX_IN_FLIGHT / 2 {
                queue
                    .ask(from, &format!("full-{answer}"), answer)
                    .expect("room");
            }
            let in_flight = queue.send();
            queue.ask(from, "job", 0).expect("room");
            for answer in 0..9 {
                queue
                    .ask(from, &format!("other-{answer}"), answer)
                    .expect("room");
            }
            let mut order = Vec::new();
            for (_, number) in in_flight {
                queue.waiting.answer(number, None);
                order.extend(queue.send_names());
            }
            let place = order.iter().position(|name| name == "job");
            let place = place.expect("its turn comes") as u64;
            match from {
                1 => assert!((1..LOW_PRIORITY_EVERY).contains(&place), "{order:?}"),
                _ => assert_eq!(place, 0, "{order:?}"),
            }
        }
    }

    #[test]
    fn a_name_that_is_found_is_in_vain_no_more() {
        let mut queue = Queue::new(10);
        for (exists, is_low_priority) in [(Some(false), true), (None, true), (Some(true), false)] {
            queue.ask(1, "job", 0).expect("room");
            let (_, number) = queue.send().remove(0);
            queue.waiting.answer(number, exists);
            assert_eq!(queue.waiting.not_found.has(peer(1), "job"), is_low_priority);
        }
    }

    #[test]
    fn where_all_places_are_taken_the_peer_that_waits_most_makes_room() {
        let mut queue = Queue::new(10);
        for answer in 0..10 {
            queue.ask(1, &format!("n-{answer}"), answer).expect("room");
        }
        assert_eq!(queue.ask(1, "more", 10), Err(QueueFull));
        for answer in 0..5 {
            queue
                .ask(2, &format!("job-{answer}"), answer)
                .expect("room");
        }
        assert_eq!(
            queue.ask(2, "job-5", 5),
            Err(QueueFull),
            "it has as many now"
        );
        let of = |from: u8| {
            let questions = &queue.waiting.questions;
            let its = questions.iter().filter(|asked| asked.peer == peer(from));
            its.map(|asked| asked.answer).collect::<Vec<_>>()
        };
        assert_eq!((of(1), of(2)), (vec![0, 1, 2, 3, 4], vec![0, 1, 2, 3, 4]));
    }

    #[test]
    fn who_gives_up_leaves_nothing_behind_and_is_not_asked_for() {
        let mut queue = Queue::new(10);
        let number = queue.ask(1, "ci", 0).expect("room");
        queue.waiting.abandon(number);
        assert_eq!(queue.send(), []);
        queue.ask(1, "late", 0).expect("room");
        queue.now += Duration::from_secs(3);
        assert_eq!(queue.send(), [], "nobody waits for it");
        assert_eq!(queue.waiting.questions.len(), 1);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut not_found = NotFound::default();
        for number in 0..1000_u16 {
            let [high, low] = number.to_be_bytes();
            let peer = Peer::of([10, 0, high, low].into());
            for name in 0..NAMES + 10 {
                not_found.add(peer, &format!("n-{name}").into());
            }
        }
        assert_eq!(
            (not_found.names.len(), not_found.peers.len()),
            (PEERS, PEERS)
        );
        let longest = not_found.names.values().map(VecDeque::len).max();
        assert_eq!(longest, Some(NAMES));
        let last = Peer::of([10, 0, 3, 231].into());
        assert!(not_found.has(last, "n-137") && !not_found.has(last, "n-1"));
    }
}
