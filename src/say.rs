//! Words beside the answer, on standard error.

/// As `eprintln!`, but for who has closed standard error: he has seen enough, and the work goes on.
macro_rules! say {
    ($($words:tt)*) => {{
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), $($words)*);
    }};
}
