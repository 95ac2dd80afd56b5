import { defineConfig, type Plugin } from 'vite';

const server = 'http://127.0.0.1:8080';

/** The Rust server serves graphiql.html at /graphiql; the dev server does the same. */
const prettyPaths: Plugin = {
  name: 'tally:pretty-paths',
  configureServer({ middlewares }) {
    middlewares.use((request, _response, next) => {
      if (request.url?.split('?')[0] === '/graphiql') request.url = '/graphiql.html';
      next();
    });
  },
};

export default defineConfig({
  plugins: [prettyPaths],
  build: {
    target: 'es2022',
    // The favicon is both a link (never inlined) and an import (inlined if small), and Vite lets
    // whichever it meets first decide for both. The build must not depend on that race.
    assetsInlineLimit: 0,
    // GraphiQL brings the Monaco editor, which is one large chunk and loaded only by that page.
    chunkSizeWarningLimit: 4096,
    rolldownOptions: {
      input: ['index.html', 'graphiql.html'],
      // React libraries say "use client" to servers that render them. There is none here.
      checks: { moduleLevelDirective: false },
    },
  },
  worker: { format: 'es' },
  server: {
    proxy: {
      '/graphql': { target: server, ws: true },
      '/demo': { target: server },
    },
  },
});
