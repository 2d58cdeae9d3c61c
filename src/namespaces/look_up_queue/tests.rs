use std::collections::VecDeque;

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
fn a_missing_name_comes_last_for_the_peer_that_asked_and_for_no_other() {
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
fn a_name_that_is_found_is_no_longer_low_priority() {
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
    assert_eq!(queue.send(), [], "no review waits for it");
    assert_eq!(queue.waiting.questions.len(), 1);
}
