/** An environment that the app must refuse. */
export interface BadEnvironment {
  /** Changes to a good environment; undefined removes a variable. */
  environment: Record<string, string | undefined>;
  /** Exactly the variables that the message has to name. */
  named: string[];
  /** Texts that must not be printed. */
  secrets?: string[];
  /** Texts that have to be printed too. */
  printed?: string[];
}

export const environments: BadEnvironment[] = [
  { environment: { PORT: 'http' }, named: ['PORT'], printed: ['65535'] },
  { environment: { PORT: '65536' }, named: ['PORT'], printed: ['65535'] },
  { environment: { PORT: '-1' }, named: ['PORT'] },
  { environment: { PORT: '5000.5' }, named: ['PORT'] },
  { environment: { PORT: '0x1388' }, named: ['PORT'] },
  { environment: { PORT: '5e3' }, named: ['PORT'] },
  { environment: { PORT: '5000;rm -rf /' }, named: ['PORT'] },
  { environment: { HOST: 'http://localhost' }, named: ['HOST'] },
  { environment: { HOST: 'local host' }, named: ['HOST'] },
  { environment: { LOG_LEVEL: 'verbose' }, named: ['LOG_LEVEL'], printed: ['debug'] },
  { environment: { LOG_LEVEL: 'INFO' }, named: ['LOG_LEVEL'], printed: ['info'] },
  {
    environment: { DATABASE_URL: undefined },
    named: ['DATABASE_URL'],
    printed: ['npm run dev', 'heroku addons:create heroku-postgresql'],
  },
  { environment: { DATABASE_URL: '' }, named: ['DATABASE_URL'], printed: ['npm run dev'] },
  { environment: { DATABASE_URL: '   ' }, named: ['DATABASE_URL'] },
  {
    environment: { DATABASE_URL: 'mysql://root:hunter2secret@db.example/app' },
    named: ['DATABASE_URL'],
    secrets: ['hunter2secret', 'db.example'],
    printed: ['postgres://', 'postgresql://', 'pglite:'],
  },
  {
    environment: { DATABASE_URL: 'postgres://app:p%zzword#1@db.example/app' },
    named: ['DATABASE_URL'],
    secrets: ['p%zzword', 'db.example'],
    printed: ['percent-encoded'],
  },
  {
    environment: { DATABASE_URL: 'postgres://app:top secret@db.example/app' },
    named: ['DATABASE_URL'],
    secrets: ['top secret', 'db.example'],
  },
  {
    environment: { DATABASE_URL: 'hunter2secret' },
    named: ['DATABASE_URL'],
    secrets: ['hunter2secret'],
  },
  { environment: { DATABASE_URL: 'pglite:' }, named: ['DATABASE_URL'] },
  {
    environment: { DATABASE_URL: 'postgres://app:hunter2secret@db.example:port/app' },
    named: ['DATABASE_URL'],
    secrets: ['hunter2secret', 'db.example'],
  },
  { environment: { DATABASE_TLS: 'on' }, named: ['DATABASE_TLS'], printed: ['no-verify'] },
  { environment: { DATABASE_TLS: 'true' }, named: ['DATABASE_TLS'] },
  { environment: { DATABASE_POOL_MAX: '0' }, named: ['DATABASE_POOL_MAX'] },
  { environment: { DATABASE_POOL_MAX: 'many' }, named: ['DATABASE_POOL_MAX'] },
  {
    environment: { REDIS_URL: 'http://:hunter2secret@cache.example:6379' },
    named: ['REDIS_URL'],
    secrets: ['hunter2secret', 'cache.example'],
    printed: ['redis://', 'rediss://'],
  },
  {
    environment: { REDIS_URL: 'cache.example:6379' },
    named: ['REDIS_URL'],
    secrets: ['cache.example'],
  },
  { environment: { REDIS_URL: 'redis://127.0.0.1:6379', REDIS_TLS: 'off' }, named: ['REDIS_TLS'] },
  {
    environment: { BACKING_APP_URL: 'ftp://user:hunter2secret@other.example' },
    named: ['BACKING_APP_URL'],
    secrets: ['hunter2secret', 'other.example'],
    printed: ['http://', 'https://'],
  },
  { environment: { BACKING_APP_URL: 'other' }, named: ['BACKING_APP_URL'] },
  {
    environment: {
      DATABASE_URL: 'postgres://app:hunter2secret%ff@db.example/app',
      DATABASE_DIRECT_URL: 'pglite:memory',
      REDIS_URL: 'redis://us%er:hunter2secret@cache.example',
      BACKING_APP_URL: 'https://us%er:hunter2secret@other.example',
      OTEL_EXPORTER_OTLP_ENDPOINT: 'https://us%er:hunter2secret@collector.example',
    },
    named: [
      'DATABASE_URL',
      'DATABASE_DIRECT_URL',
      'REDIS_URL',
      'BACKING_APP_URL',
      'OTEL_EXPORTER_OTLP_ENDPOINT',
    ],
    secrets: ['hunter2secret', 'db.example', 'us%er'],
    printed: ['percent-encoded'],
  },
  {
    environment: { REDIS_URL: 'redis://app:123#hunter2secret@cache.example' },
    named: ['REDIS_URL'],
    secrets: ['hunter2secret', 'cache.example'],
  },
  { environment: { TRUST_PROXY: 'true' }, named: ['TRUST_PROXY'] },
  { environment: { TRUST_PROXY: '1' }, named: ['TRUST_PROXY'] },
  { environment: { TRUST_PROXY: '*' }, named: ['TRUST_PROXY'] },
  { environment: { TRUST_PROXY: '10.0.0.0/33' }, named: ['TRUST_PROXY'] },
  { environment: { TRUST_PROXY: '0.0.0.0/0' }, named: ['TRUST_PROXY'] },
  { environment: { TRUST_PROXY: 'loopback,proxy.example' }, named: ['TRUST_PROXY'] },
  { environment: { CORS_ORIGIN: 'https://app.example/path' }, named: ['CORS_ORIGIN'] },
  { environment: { CORS_ORIGIN: 'app.example' }, named: ['CORS_ORIGIN'] },
  { environment: { CORS_ORIGIN: '*,https://app.example' }, named: ['CORS_ORIGIN'] },
  {
    environment: { CORS_ORIGIN: 'https://user:hunter2secret@app.example' },
    named: ['CORS_ORIGIN'],
    secrets: ['hunter2secret'],
  },
  { environment: { RATE_LIMIT_MAX: '-1' }, named: ['RATE_LIMIT_MAX'] },
  { environment: { RATE_LIMIT_MAX: 'off' }, named: ['RATE_LIMIT_MAX'] },
  { environment: { REQUEST_TIMEOUT_MS: '25s' }, named: ['REQUEST_TIMEOUT_MS'] },
  { environment: { REQUEST_TIMEOUT_MS: '0' }, named: ['REQUEST_TIMEOUT_MS'] },
  { environment: { SHUTDOWN_DELAY_MS: '-5' }, named: ['SHUTDOWN_DELAY_MS'] },
  { environment: { SHUTDOWN_DELAY_MS: '25000' }, named: ['SHUTDOWN_DELAY_MS'] },
  { environment: { SHUTDOWN_TIMEOUT_MS: 'soon' }, named: ['SHUTDOWN_TIMEOUT_MS'] },
  { environment: { WEB_CONCURRENCY: '0' }, named: ['WEB_CONCURRENCY'] },
  { environment: { WEB_CONCURRENCY: 'auto' }, named: ['WEB_CONCURRENCY'] },
  {
    environment: {
      PORT: 'hunter2secret&x',
      LOG_LEVEL: 'token=hunter3secret',
      TRUST_PROXY: 'sk_live_$hunter4secret',
    },
    named: ['PORT', 'LOG_LEVEL', 'TRUST_PROXY'],
    secrets: ['hunter2secret', 'hunter3secret', 'hunter4secret'],
  },
  {
    environment: {
      PORT: 'http',
      HOST: '?',
      LOG_LEVEL: 'loud',
      DATABASE_URL: 'mysql://root:hunter2secret@db.example/app',
      DATABASE_POOL_MAX: '1.5',
      TRUST_PROXY: 'true',
      REQUEST_TIMEOUT_MS: '-1',
      WEB_CONCURRENCY: 'two',
    },
    named: [
      'PORT',
      'HOST',
      'LOG_LEVEL',
      'DATABASE_URL',
      'DATABASE_POOL_MAX',
      'TRUST_PROXY',
      'REQUEST_TIMEOUT_MS',
      'WEB_CONCURRENCY',
    ],
    secrets: ['hunter2secret'],
  },
];
