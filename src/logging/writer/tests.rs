//! What is written together, dropped or too late.

use super::*;

/// Tells of each write, and waits until the test lets it happen.
struct Gate {
    entered: blocking::Sender<String>,
    opened: blocking::Receiver<()>,
}

impl Write for Gate {
    fn write(&mut self, lines: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(lines).into_owned();
        // After the test, nobody waits.
        let _ = (self.entered.send(text), self.opened.recv());
        Ok(lines.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_waits_is_written_together_and_what_is_too_late_is_not() {
    let (entered, writes) = blocking::channel();
    let (open, opened) = blocking::channel();
    let writer = LogWriter::start("the test", Gate { entered, opened });
    let budget = Budget::new(1000);
    let post = |line: &str, time| {
        let memory = budget.reserve(line.len()).expect("there is enough");
        writer.awaited(line.into(), memory, Instant::now() + time)
    };
    let (soon, later) = (Duration::ZERO, Duration::from_secs(600));
    let first = post("1\n", later);
    assert_eq!(writes.recv(), Ok("1\n".to_owned()));
    let too_late = post("2\n", soon);
    let rest = ["3\n", "4\n", "5\n"].map(|line| post(line, later));
    writer.line("6\n".into());
    open.send(()).expect("the writer waits");
    first.blocking_recv().expect("it is written");
    assert_eq!(writes.recv(), Ok("3\n4\n5\n6\n".to_owned()));
    too_late.blocking_recv().expect_err("nobody waits for it");
    open.send(()).expect("the writer waits");
    for line in rest {
        line.blocking_recv().expect("it is written");
    }
    assert_eq!((budget.available(), writer.figures().awaited), (1000, 4));
}

#[test]
fn what_does_not_fit_into_the_queue_is_counted() {
    let (entered, writes) = blocking::channel();
    let (open, opened) = blocking::channel();
    let writer = LogWriter::start("the test", Gate { entered, opened });
    writer.line(vec![b'1'; 10]);
    writes.recv().expect("a write");
    (0..3).for_each(|_| writer.line(vec![b'2'; UNAWAITED / 2 - 10]));
    assert_eq!(writer.figures().dropped, 1);
    drop(open);
    writer.flush();
    writer.line(vec![b'3'; UNAWAITED / 2]);
    assert_eq!(writer.figures().dropped, 1, "there is space again");
}

#[test]
fn who_waits_for_a_line_does_not_wait_for_all_that_came_with_it() {
    let (entered, writes) = blocking::channel();
    let (open, opened) = blocking::channel();
    let writer = LogWriter::start("the test", Gate { entered, opened });
    let budget = Budget::new(10 * AT_ONCE);
    let post = |length: usize| {
        let memory = budget.reserve(length).expect("there is enough");
        writer.awaited(
            vec![b'x'; length],
            memory,
            Instant::now() + Duration::from_secs(600),
        )
    };
    let first = post(1);
    writes.recv().expect("a write");
    let rest = [AT_ONCE / 2, AT_ONCE / 2, 3 * AT_ONCE, 1].map(post);
    open.send(()).expect("the writer waits");
    first.blocking_recv().expect("it is written");
    let mut rest = rest.into_iter();
    for (length, lines) in [(AT_ONCE, 2), (3 * AT_ONCE, 1), (1, 1)] {
        assert_eq!(writes.recv().map(|text| text.len()), Ok(length));
        open.send(()).expect("the writer waits");
        for line in rest.by_ref().take(lines) {
            line.blocking_recv().expect("it is written");
        }
    }
}
