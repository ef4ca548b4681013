// Lies inside the test-k6 image, for TestRuns whose script is a localFile.
import { sleep } from 'k6';

export const options = { vus: 2, duration: '2s' };

export default function () {
  sleep(0.1);
}
