//! Events as JSON lines on standard output. Does not prompt and does not write to standard error.

use super::{Render, stream::Stream};
use crate::model::event::{Event, Object};
use crate::model::front::Front;

/// A renderer that prints one JSON object per line.
pub(super) struct Json {
    out: Stream,
}

impl Json {
    pub(super) const fn new(out: Stream) -> Self {
        Self { out }
    }
}

impl Front for Json {
    fn event(&self, event: &Event) {
        self.out.json(&Object(event));
    }

    fn can_ask(&self) -> bool {
        false
    }

    fn ask(&self, _question: &str) -> Option<String> {
        None
    }
}

impl Render for Json {
    fn lost(&self) -> bool {
        self.out.lost()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::line;
    use crate::model::hostile::{acting, every_event, hostile, taken};
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn every_line_is_text_for_its_reader_and_the_same_value_for_a_parser(foreign in hostile()) {
            for event in every_event(&foreign) {
                let line = line(&event);
                prop_assert_eq!(taken(&line), Vec::<String>::new(), "{}", line);
                prop_assert_eq!(acting(&line), Vec::<char>::new(), "{}", line);
                let plain: serde_json::Value = serde_json::to_value(Object(&event)).expect("JSON");
                prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&line).expect("JSON"), plain);
            }
        }
    }
}
