/** Asking anew, but not more often than there is something to see. */

/**
 * Runs `work` once it is called, at most once in `pause` milliseconds and one at a time; calls meanwhile are one more run.
 * `stop()` ends it.
 */
export function throttled(work, pause) {
  let running = false;
  let wanted = false;
  let stopped = false;
  let next = 0;
  let timer = null;
  const run = async () => {
    timer = null;
    wanted = false;
    running = true;
    try {
      await work();
    } finally {
      running = false;
      next = Date.now() + pause;
      if (wanted) call();
    }
  };
  const call = () => {
    wanted = true;
    if (!running && !stopped && timer === null) timer = setTimeout(run, Math.max(0, next - Date.now()));
  };
  call.stop = () => {
    stopped = true;
    clearTimeout(timer);
  };
  return call;
}
