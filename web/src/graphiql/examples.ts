/** One tab each. The comments are for people who meet the API here for the first time. */

const hotRanking = `# What people like right now, the hottest first.
# 实时热榜：此刻最受欢迎的内容，最热的排在最前。
#
# Run with Ctrl/⌘ + Enter.  按 Ctrl/⌘ + Enter 运行。
query HotRanking {
  hotRanking(first: 5, publishedWithin: ALL) {
    rank
    score
    level
    content {
      __typename
      id
      title
      likeCount
      author {
        name
      }
    }
  }
}
`;

const publishAndLike = `# Two operations: the play button asks which to run.
# 这里有两个操作：点运行按钮时选择其中一个。

# 1. Publish an artwork. Thanks to clientKey a second
#    try adds nothing ("created" is false).
#    发布一件作品。有了 clientKey，重复提交也不会重复创建。
mutation PublishArtwork {
  publishArtwork(
    input: {
      title: "Lanterns over the river"
      prompt: "paper lanterns, night river, long exposure"
      clientKey: "graphiql-example"
    }
  ) {
    created
    artwork {
      id
      title
      hotness {
        score
        level
      }
    }
  }
}

# 2. Like it: put its id into the Variables below.
#    Liking twice is one like ("changed" is false).
#    点赞：把返回的 id 填到下方的 Variables 里。
#    重复点赞只算一次。
mutation Like($contentId: ID!) {
  like(contentId: $contentId) {
    changed
    content {
      likeCount
      viewerHasLiked
      hotness {
        score
        level
      }
    }
  }
}
`;

const liveRanking = `# The same ranking, live: its present state at once,
# then every change. Like something on the board!
# 同一个榜单的实时订阅：先收到当前状态，
# 之后每次变化都会推送。到榜单页面点个赞试试！
subscription LiveRanking {
  hotRankingChanged(first: 5) {
    changedAt
    entries {
      rank
      score
      level
      content {
        title
        likeCount
      }
    }
  }
}
`;

const artworkPage = `# One page of artworks, newest first, with the author
# and what *you* did with each. For the next page pass
# pageInfo.endCursor as "after".
# 分页读取作品（最新的在前），包含作者以及你自己的
# 点赞、收藏状态。下一页：把 endCursor 作为 after 传入。
query Artworks($after: String) {
  artworks(first: 5, after: $after, orderBy: NEWEST) {
    totalCount
    pageInfo {
      hasNextPage
      endCursor
    }
    edges {
      node {
        id
        title
        publishedAt
        likeCount
        viewerHasLiked
        viewerHasFavorited
        author {
          id
          name
        }
        hotness {
          score
          level
        }
      }
    }
  }
}
`;

export interface Example {
  query: string;
  variables?: string;
}

export const examples: Example[] = [
  { query: hotRanking },
  { query: publishAndLike, variables: '{\n  "contentId": "artwork_…"\n}' },
  { query: liveRanking },
  { query: artworkPage },
];
