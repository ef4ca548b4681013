// Calls what its own proxy answers: a request before the proxy is up, or after it has gone, fails the threshold.
import http from 'k6/http';
import { sleep } from 'k6';

export const options = {
  vus: 2,
  duration: '1s',
  thresholds: { http_req_failed: ['rate==0'] },
};

export default function () {
  http.get('http://127.0.0.1:10000/');
  sleep(0.1);
}
